"""One error of the failures of several models."""

from __future__ import annotations

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.failures import ModelFailure, all_models_failed

BAD, CREDENTIALS = Reason.PROVIDER_BAD_RESPONSE, Reason.PROVIDER_CREDENTIALS_REJECTED


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([BAD], BAD),
        ([BAD, CREDENTIALS], CREDENTIALS),
        ([CREDENTIALS, BAD], BAD),
        ([BAD, Reason.PROVIDER_RATE_LIMITED], Reason.PROVIDER_UNAVAILABLE),
        ([Reason.PROVIDER_RATE_LIMITED, BAD], Reason.PROVIDER_UNAVAILABLE),
    ],
)
def test_another_try_is_offered_only_where_it_may_help(reasons: list[Reason], expected: Reason) -> None:
    failures = [ModelFailure(f"m{index}", ServiceError(reason, "no")) for index, reason in enumerate(reasons)]
    assert all_models_failed(failures).reason is expected
