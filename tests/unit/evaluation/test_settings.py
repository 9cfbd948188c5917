from __future__ import annotations

import pytest

from rerankd.evaluation.settings import EvaluationSettings


def test_the_defaults_can_be_used() -> None:
    assert EvaluationSettings().problems() == []
    assert EvaluationSettings(keep_experiments_days=None).problems() == []


@pytest.mark.parametrize("name", EvaluationSettings.__struct_fields__)
def test_an_age_is_above_0(name: str) -> None:
    (problem,) = EvaluationSettings(**{name: 0.0}).problems()
    assert problem == f"evaluation.{name} must be above 0, or null to delete nothing, is 0"
