"""Models: names resolve to model groups or composed models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, ScoreSpace, Strategy, Usage
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.pipeline import Engine
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings
from rerankd.engine.scoring.composed_model import ComposedInfo
from rerankd.engine.scoring.estimate import Estimate, Needed, Quote
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.usage import add_usage
from rerankd.telemetry.calls.call_record import RerankerIdentity
from rerankd_adapters import base
from tests.support.engines import failing
from tests.support.providers import ScriptedProvider, by_length

CALL = CallContext(request_id="r1")


@dataclass
class Sum:
    """Adds the scores of two models."""

    members: list[ScoringModel]
    name: str = "both"
    bulkhead: str = "both"
    fallback_on: Collection[str] = (Reason.MODEL_NOT_FOUND,)
    normalisation: Normalisation = Normalisation.NONE
    fallbacks: Sequence[str] = ()
    top_n: int | None = None
    is_disabled: bool = False
    is_stored: bool = False
    identity: RerankerIdentity | None = None

    def describe(self) -> ComposedInfo:
        return ComposedInfo(
            Strategy.FUSION, [each.name for each in self.members], base.ScoreSpace.UNBOUNDED, base.Scoring.POINTWISE
        )

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


UNCONFIGURED = "model cohere/rerank-v3.5 not found; provider cohere is not configured: set COHERE_API_KEY"


@pytest.mark.parametrize(
    ("model", "fallbacks", "answers", "failed"),
    [
        ("cohere/rerank-v3.5", ["scripted/a"], "scripted/a", ["cohere/rerank-v3.5"]),
        ("hosted", ["voyage/rerank-2", "scripted/a"], "scripted/a", ["cohere/rerank-v3.5", "voyage/rerank-2"]),
        ("scripted/a", ["cohere/rerank-v3.5"], "scripted/a", []),
        ("scripted/down", ["cohere/rerank-v3.5", "scripted/a"], "scripted/a", ["scripted/down", "cohere/rerank-v3.5"]),
    ],
)
async def test_a_model_whose_provider_is_not_configured_falls_back_with_a_warning(
    model: str, fallbacks: list[str], answers: str, failed: list[str]
) -> None:
    provider = ScriptedProvider(a=by_length, down=failing())
    router = Router([provider], default_model="scripted/a", aliases={"hosted": "cohere/rerank-v3.5"})
    request = RerankRequest(model=model, query="q", documents=["a"], fallbacks=fallbacks)
    answer = await Engine(router, RequestLimits()).rerank(request, CALL)
    assert answer.meta is not None
    assert answer.extra_fields is not None
    assert answer.model == answers
    assert [each.model for each in answer.extra_fields.fell_back_from] == failed
    assert len(answer.meta.warnings) == len(failed)
    if model.startswith("cohere"):
        assert answer.meta.warnings[0].startswith(f"fell back: {UNCONFIGURED}")


@pytest.mark.parametrize(
    ("model", "fallbacks", "field"),
    [
        ("cohere/rerank-v3.5", [], "model"),
        ("cohere/rerank-v3.5", ["voyage/rerank-2"], "model"),
        ("scripted/typo", ["scripted/a"], "model"),
        ("cohere/rerank-v3.5", ["scripted/typo"], "fallbacks[0]"),
    ],
)
async def test_names_that_nothing_could_serve_are_refused_whatever_the_fallbacks(
    model: str, fallbacks: list[str], field: str
) -> None:
    engine = Engine(Router([ScriptedProvider(a=by_length)], default_model="scripted/a"), RequestLimits())
    with pytest.raises(ServiceError) as raised:
        await engine.rerank(RerankRequest(model=model, query="q", documents=["a"], fallbacks=fallbacks), CALL)
    assert raised.value.reason is Reason.MODEL_NOT_FOUND
    assert raised.value.violations[0].field == field


def test_an_alias_that_leads_nowhere_says_where_it_leads() -> None:
    router = Router([ScriptedProvider(a=by_length)], default_model="scripted/a", aliases={"fast": "scripted/b"})
    with pytest.raises(ServiceError) as raised:
        Models(router).resolve("fast")
    assert str(raised.value) == "model fast (an alias of scripted/b) not found; did you mean scripted/a?"


@pytest.mark.parametrize("names", [{"model": "x" * 500_000}, {"fallbacks": ["x" * 500_000]}, {"fallbacks": ["x"] * 99}])
def test_names_that_are_refused_are_not_looked_up(names: dict[str, Any]) -> None:
    engine = Engine(Router([ScriptedProvider(a=by_length)], default_model="scripted/a"), RequestLimits())
    allowed = RerankRequest(query="q", documents=["a"])
    assert [each.name for each in engine.reachable(allowed)] == ["scripted/a"]
    assert engine.quote(allowed, Needed.NOTHING) == Quote("scripted/a", None)

    refused = replace(allowed, **names)
    assert list(engine.reachable(refused)) == []
    assert engine.quote(refused, Needed.NOTHING) == Quote("", None)
    assert engine.quote(refused, Needed.TOKENS) == Quote("", Estimate(0, 0.0))


def with_fallbacks(name: str, *fallbacks: str) -> Models:
    provider = ScriptedProvider(a=by_length, b=by_length)
    options = ModelSettings(deployments=[DeploymentSettings(model="scripted/a")], fallbacks=list(fallbacks))
    router = Router([provider], default_model=name, models={name: options}, composed=["both"])
    groups = Models(router)
    both = Sum([groups.resolve("scripted/a"), groups.resolve("scripted/b")])
    return Models(router, composed={"both": both})


def test_a_fallback_of_the_settings_that_is_not_there_is_left_out() -> None:
    found = with_fallbacks("search", "scripted/gone", "both", "scripted/b").candidates("", ())
    assert [each.name for each in found] == ["search", "both", "scripted/b"]


def test_deployments_a_call_may_use_include_those_of_fallbacks_and_members() -> None:
    models = with_fallbacks("search", "both")
    reached = [each.name for each in models.reachable(["search", "scripted/gone", "both"])]
    assert reached == ["scripted/a", "scripted/a", "scripted/b"]
