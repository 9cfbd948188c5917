"""Names that a caller chooses: how long, how many, and what is said of those beyond."""

from __future__ import annotations

import pytest

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.name_checks import check_model_name, check_names

LIMITS = RequestLimits(max_name_chars=8, max_fallbacks=2, max_rank_fields=2, max_provider_options=2)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("model", "m" * 9, "model"),
        ("user", "u" * 9, "user"),
        ("fallbacks", ["a", "b", "c"], "fallbacks"),
        ("fallbacks", ["a", ""], "fallbacks[1]"),
        ("fallbacks", ["a", "b" * 9], "fallbacks[1]"),
        ("rank_fields", ["a", "b", "c"], "rank_fields"),
        ("rank_fields", ["a" * 9], "rank_fields[0]"),
        ("provider_options", {"a": 1, "b": 2, "c": 3}, "provider_options"),
        ("provider_options", {"a" * 9: 1}, "provider_options"),
    ],
)
def test_what_is_beyond_a_limit_is_named(field: str, value: object, path: str) -> None:
    request = RerankRequest()
    setattr(request, field, value)
    [violation] = check_names(request, LIMITS)
    assert violation.field == path
    assert path in violation.description


def test_what_is_within_is_taken() -> None:
    request = RerankRequest(
        model="m" * 8,
        user="u" * 8,
        fallbacks=["a", "b"],
        rank_fields=["a" * 8, "b"],
        provider_options={"a" * 8: "long" * 100, "b": 2},
    )
    assert check_names(request, LIMITS) == []
    check_model_name("m" * 8, LIMITS)


def test_the_name_of_a_single_model() -> None:
    with pytest.raises(ServiceError, match="model is 9 characters long; this server takes 8"):
        check_model_name("m" * 9, LIMITS)
