"""What is known of a model that several deployments serve."""

from dataclasses import replace

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.model_group import tightest
from rerankd_adapters.base import Capabilities, ModelInfo, ScoreSpace, Scoring
from tests.support.engines import group
from tests.support.providers import FACTS, ScriptedProvider


def facts(**values: object) -> Capabilities:
    return replace(FACTS, **values)  # type: ignore[arg-type]


def test_the_lowest_of_the_known_limits_holds() -> None:
    joined = tightest([facts(max_documents=100), facts(max_documents=None, max_total_tokens=9), facts(max_documents=7)])
    assert (joined.max_documents, joined.max_total_tokens, joined.max_request_bytes) == (7, 9, None)


def test_only_shared_abilities_count() -> None:
    joined = tightest([facts(takes_images=True, takes_instruction=True), facts(takes_instruction=True)])
    assert (joined.takes_images, joined.takes_instruction) == (False, True)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (Scoring.POINTWISE, Scoring.POINTWISE, Scoring.POINTWISE),
        (Scoring.POINTWISE, Scoring.UNKNOWN, Scoring.UNKNOWN),
        (Scoring.POINTWISE, Scoring.LISTWISE, Scoring.LISTWISE),
        (Scoring.UNKNOWN, Scoring.LISTWISE, Scoring.LISTWISE),
    ],
)
def test_the_scoring_that_permits_least(first: Scoring, second: Scoring, joined: Scoring) -> None:
    for pair in ((first, second), (second, first)):
        assert tightest([facts(scoring=each) for each in pair]).scoring is joined


def test_scores_of_two_spaces_are_of_none() -> None:
    spaces = [facts(score_space=space) for space in (ScoreSpace.PROBABILITY, ScoreSpace.LOGIT)]
    assert tightest(spaces).score_space is ScoreSpace.UNKNOWN


class Told(ScriptedProvider):
    info: ModelInfo | None = ModelInfo("model", FACTS)

    def describe(self, model: str) -> ModelInfo | None:
        return self.info


def test_the_description_follows_the_deployments() -> None:
    first, second = Told("a"), Told("b")
    searched = group([first, second])
    first.info = ModelInfo("model", facts(max_documents=9), revision="1", status="unavailable")
    second.info = ModelInfo("model", facts(max_documents=5), revision="2")
    assert searched.info().capabilities.max_documents == 5
    assert (searched.info().revision, searched.info().status) == ("1,2", "available")
    second.info = ModelInfo("model", facts(max_documents=4), revision="3")
    assert (searched.info().capabilities.max_documents, searched.info().revision) == (4, "1,3")
    second.info = None
    assert searched.info() is first.info
    first.info = None
    assert searched.describe() is None
    with pytest.raises(ServiceError) as raised:
        searched.info()
    assert raised.value.reason is Reason.MODEL_NOT_FOUND
