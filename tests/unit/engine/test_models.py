"""Models: names resolve to model groups or composed models."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, ScoreSpace, Usage
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.pipeline import Engine
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.usage import add_usage
from rerankd_adapters import base
from tests.support.providers import ScriptedProvider, by_length

CALL = CallContext(request_id="r1")


@dataclass
class Sum:
    """Adds the scores of two models."""

    members: list[ScoringModel]
    name: str = "both"
    fallback_on: Collection[str] = (Reason.MODEL_NOT_FOUND,)
    normalisation: Normalisation = Normalisation.NONE

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        results = [await member.score(request, context) for member in self.members]
        usage = Usage()
        for result in results:
            add_usage(usage, result.usage)
        usage.documents = len(request.request.documents)
        return ModelResult(
            model=self.name,
            provider=results[0].provider,
            indices=request.indices,
            scores=[sum(scores) for scores in zip(*(result.scores for result in results), strict=True)],
            score_space=base.ScoreSpace.UNBOUNDED,
            usage=usage,
            calls=[call for result in results for call in result.calls],
        )


def opened(**limits: int) -> tuple[Engine, ScriptedProvider]:
    provider = ScriptedProvider(a=by_length, b=by_length)
    router = Router([provider], default_model="scripted/a", aliases={"alias": "both"})
    groups = Models(router)
    members = [groups.resolve("scripted/a"), groups.resolve("scripted/b")]
    return Engine(router, RequestLimits(**limits), models=Models(router, composed={"both": Sum(members)})), provider


@pytest.mark.parametrize("name", ["both", "alias"])
async def test_a_composed_model_answers_like_any_other(name: str) -> None:
    engine, provider = opened()
    request = RerankRequest(model=name, query="q", documents=["a", "", "ccc"], include_details=True)
    answer = await engine.rerank(request, CallContext("r1", ranks_blank_last=True))
    assert [(result.index, result.relevance_score) for result in answer.results] == [(2, 6.0), (0, 2.0), (1, 0.0)]
    assert (answer.model, [call.model for call in provider.calls]) == ("both", ["a", "b"])
    assert answer.usage is not None
    assert (answer.usage.documents, answer.usage.prompt_tokens) == (3, 4)
    assert answer.extra_fields is not None
    assert answer.extra_fields.score_space is ScoreSpace.UNBOUNDED
    assert [chunk.chunk_index for chunk in answer.extra_fields.chunks] == [0, 1]


async def test_a_composed_model_is_a_fallback_like_any_other() -> None:
    provider = ScriptedProvider(gone=by_length)
    router = Router([provider], default_model="scripted/gone")
    engine = Engine(router, RequestLimits(), models=Models(router, composed={"both": Sum([])}))
    with pytest.raises(ServiceError) as raised:
        await engine.rerank(RerankRequest(query="q", documents=["a"], fallbacks=["both", "scripted/none"]), CALL)
    assert raised.value.violations[0].field == "fallbacks[1]"


async def test_candidates_are_each_model_once_in_order() -> None:
    provider = ScriptedProvider(a=by_length, b=by_length, c=by_length)
    models = Models(Router([provider], default_model="scripted/a"))
    asked = ["scripted/c", "scripted/a", "scripted/b", "scripted/c"]
    assert [model.name for model in models.candidates("", asked)] == ["scripted/a", "scripted/c", "scripted/b"]


async def test_only_blank_documents_ask_nobody_but_need_a_model() -> None:
    engine, provider = opened()
    blank = CallContext("r1", ranks_blank_last=True)
    answer = await engine.rerank(RerankRequest(query="q", documents=[" ", ""], top_n=1), blank)
    assert [(result.index, result.relevance_score) for result in answer.results] == [(0, 0.0)]
    assert (provider.calls, answer.model) == ([], "scripted/a")
    with pytest.raises(ServiceError) as raised:
        await engine.rerank(RerankRequest(model="scripted/none", query="q", documents=[" "]), blank)
    assert raised.value.reason is Reason.MODEL_NOT_FOUND
