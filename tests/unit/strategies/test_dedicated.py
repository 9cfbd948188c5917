"""Strategy dedicated-model, and what every reranker does as a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import (
    GetModelRequest,
    ListModelsRequest,
    ModelKind,
    ModelStatus,
    RerankRequest,
    RerankResponse,
    ScoreNormalization,
    ScoreSpace,
    StageStatus,
    Strategy,
)
from rerankd.engine.pipeline import Engine
from tests.support.engines import engine, failing
from tests.support.providers import FACTS, ScriptedProvider, by_length

CALL = CallContext(request_id="r1")
DOCUMENTS = ["a", "cccc", "bb"]


def opened(status: str = "active", down: bool = False, **config: Any) -> tuple[Engine, ScriptedProvider]:
    provider = ScriptedProvider(a=failing() if down else by_length, b=by_length)
    rerankers = {
        "best": {
            "strategy": "dedicated-model",
            "status": status,
            "description": "for docs",
            "config": {"model": "scripted/a", **config},
        },
        "outer": {"strategy": "dedicated-model", "config": {"model": "fast"}},
    }
    if status == "disabled":
        del rerankers["outer"]
    aliases = {"fast": "best"} if status == "active" else {}
    return engine([provider], aliases=aliases, rerankers=rerankers), provider


async def ask(opened: Engine, model: str = "best", **fields: Any) -> RerankResponse:
    return await opened.rerank(RerankRequest(model=model, query="q", documents=[*DOCUMENTS], **fields), CALL)


def order(answer: RerankResponse) -> list[int]:
    return [result.index for result in answer.results]


@pytest.mark.parametrize(
    ("config", "fields", "expected"),
    [
        ({}, {}, [1, 2, 0]),
        ({"top_n": 2}, {}, [1, 2]),
        ({"top_n": 2}, {"top_n": 1}, [1]),
        ({"top_n": 1}, {"top_n": 3}, [1, 2, 0]),
        ({"score_threshold": 2.0}, {}, [1, 2]),
        ({"score_threshold": 2.0}, {"score_threshold": 3.0}, [1]),
    ],
)
async def test_top_n_and_threshold_hold_unless_the_request_sets_them(
    config: dict[str, Any], fields: dict[str, Any], expected: list[int]
) -> None:
    answer = await ask(opened(**config)[0], **fields)
    assert order(answer) == expected
    assert answer.model == "best"


async def test_normalization_is_its_own_unless_the_request_sets_one() -> None:
    found, provider = opened(normalization="minmax", top_n=2)
    answer = await ask(found)
    assert answer.extra_fields is not None
    assert [result.relevance_score for result in answer.results] == [1.0, pytest.approx(1 / 3)]
    assert answer.extra_fields.score_space is ScoreSpace.RELATIVE
    assert provider.calls[0].top_n is None, "the worst document is needed too"
    raw = await ask(found, normalization=ScoreNormalization.NONE)
    assert [result.relevance_score for result in raw.results] == [4.0, 2.0]


async def test_the_scores_of_a_member_are_those_it_answers_when_called_itself() -> None:
    found, _ = opened(normalization="minmax", top_n=1)
    answer = await ask(found, "outer")
    assert answer.extra_fields is not None
    assert [result.relevance_score for result in answer.results] == [1.0, pytest.approx(1 / 3), 0.0]
    assert answer.extra_fields.score_space is ScoreSpace.RELATIVE


async def test_stages_name_each_member_once_and_usage_is_their_sum() -> None:
    answer = await ask(opened()[0], "outer", include_details=True)
    assert answer.extra_fields is not None
    assert answer.usage is not None
    stages = answer.extra_fields.stages
    assert [(stage.stage, stage.model) for stage in stages] == [("fast", "best"), ("fast/scripted/a", "scripted/a")]
    assert all(stage.status is StageStatus.OK and stage.indices == [0, 1, 2] for stage in stages)
    assert [stage.usage and stage.usage.prompt_tokens for stage in stages] == [3, 3]
    assert (answer.usage.prompt_tokens, answer.usage.documents) == (3, 3)


async def test_only_details_list_the_documents_of_a_stage() -> None:
    answer = await ask(opened()[0])
    assert answer.extra_fields is not None
    assert [stage.indices for stage in answer.extra_fields.stages] == [[]]


async def test_its_fallbacks_answer_for_it_without_its_threshold() -> None:
    found, _ = opened(down=True, fallbacks=["scripted/b"], score_threshold=100.0, top_n=2)
    answer = await ask(found)
    assert answer.extra_fields is not None
    assert (answer.model, order(answer)) == ("scripted/b", [1, 2])
    assert [failed.model for failed in answer.extra_fields.fell_back_from] == ["best"]


async def test_a_member_uses_its_own_fallbacks() -> None:
    found, _ = opened(down=True, fallbacks=["scripted/b"])
    answer = await ask(found, "outer")
    assert answer.meta is not None
    assert answer.extra_fields is not None
    assert (answer.model, order(answer)) == ("outer", [1, 2, 0])
    assert [(stage.stage, stage.model) for stage in answer.extra_fields.stages] == [("fast", "scripted/b")]
    assert answer.meta.warnings[0].startswith("fast fell back: ")


async def test_a_failed_member_fails_the_call_with_its_error() -> None:
    with pytest.raises(ServiceError) as raised:
        await ask(opened(down=True)[0], "outer")
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE


async def test_a_disabled_reranker_is_listed_and_refused() -> None:
    found, provider = opened(status="disabled")
    with pytest.raises(ServiceError) as raised:
        await ask(found)
    assert str(raised.value) == "best is disabled: rerankers.best.status in the server's settings says so"
    assert (raised.value.reason, raised.value.violations[0].field) == (Reason.MODEL_NOT_FOUND, "model")
    model = (await found.get_model(GetModelRequest(model="best"), CALL)).model
    assert model is not None
    assert (model.status, model.status_detail) == (ModelStatus.UNAVAILABLE, "disabled in the settings")
    assert provider.calls == []


async def test_a_disabled_reranker_is_no_fallback() -> None:
    provider = ScriptedProvider(a=failing(), b=by_length)
    off = {"strategy": "dedicated-model", "status": "disabled", "config": {"model": "scripted/b"}}
    best = {"strategy": "dedicated-model", "config": {"model": "scripted/a", "fallbacks": ["off", "scripted/b"]}}
    assert (await ask(engine([provider], rerankers={"off": off, "best": best}))).model == "scripted/b"


async def test_rerankers_are_listed_with_kind_strategy_and_members() -> None:
    found, _ = opened()
    listed = (await found.list_models(ListModelsRequest(), CALL)).models
    assert [(each.name, each.kind) for each in listed] == [
        ("best", ModelKind.RERANKER),
        ("outer", ModelKind.RERANKER),
        ("scripted/a", ModelKind.MODEL),
        ("scripted/b", ModelKind.MODEL),
    ]
    best = listed[0]
    assert (best.strategy, best.members, best.aliases) == (Strategy.DEDICATED_MODEL, ["scripted/a"], ["fast"])
    assert (best.score_space, best.description, best.provider) == (ScoreSpace.PROBABILITY, "for docs", "rerankd")
    ours = (await found.list_models(ListModelsRequest(provider="rerankd"), CALL)).models
    assert [each.name for each in ours] == ["best", "outer"]
    second = (await found.list_models(ListModelsRequest(page_size=1, page_token="best"), CALL)).models
    assert [each.name for each in second] == ["outer"]


@pytest.mark.parametrize("takes", [False, True])
async def test_it_takes_images_if_all_of_its_members_do(takes: bool) -> None:
    facts = replace(FACTS, takes_images=takes, takes_query_images=takes)
    stages = [{"model": "both/model", "keep": 1}, {"model": "some/model"}]
    rerankers = {"deep": {"strategy": "cascade", "config": {"stages": stages}}}
    providers = [ScriptedProvider("both", replace(FACTS, takes_images=True)), ScriptedProvider("some", facts)]
    model = (await engine(providers, rerankers=rerankers).get_model(GetModelRequest(model="deep"), CALL)).model
    assert model is not None
    assert (model.takes_images, model.takes_query_images) == (takes, False)


async def test_only_blank_documents_ask_nobody() -> None:
    found, provider = opened()
    request = RerankRequest(model="best", query="q", documents=[" ", ""])
    answer = await found.rerank(request, CallContext("r1", ranks_blank_last=True))
    assert (order(answer), answer.model, provider.calls) == ([0, 1], "best", [])
