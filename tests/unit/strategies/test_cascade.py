"""Strategy cascade: stages, budgets, and an order that no mix of scales can break."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse, ScoreSpace, StageStatus
from rerankd.engine.pipeline import Engine
from rerankd.engine.ranking import place_below
from rerankd.strategies.cascade_settings import CascadeConfig
from rerankd_adapters import base
from rerankd_adapters.base import Capabilities, Price, ProviderCall, ProviderReply, Scoring
from tests.support.engines import engine, failing
from tests.support.providers import Answer, ScriptedProvider, by_length
from tests.support.virtual_time import loop_time, virtual_time

CALL = CallContext(request_id="r1")
DOCUMENTS = ["aaaa", "b", "ccccc", "dd", "eee"]
COSINE = Capabilities(scoring=Scoring.POINTWISE, score_space=base.ScoreSpace.COSINE)


def after(seconds: float, answer: Answer = by_length) -> Answer:
    """Make an answer that takes its time."""

    async def slow(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(seconds)
        return await answer(call)

    return slow


async def by_shortness(call: ProviderCall) -> ProviderReply:
    """Score a document by its length, the shortest best, from 0 to 1, for two hundredths of a dollar."""
    scores = [1 / len(document) for document in call.documents]
    return ProviderReply(indices=range(len(scores)), scores=scores, prompt_tokens=len(scores), cost_usd=0.02)


def opened(
    first: Answer = by_length, second: Answer = by_shortness, stages: dict[int, Any] | None = None, **config: Any
) -> tuple[Engine, ScriptedProvider, ScriptedProvider]:
    """Make a cascade, `deep`, of `wide/model` and `close/model`."""
    wide, close = ScriptedProvider("wide", COSINE, model=first), ScriptedProvider("close", model=second)
    listed = [{"model": "wide/model", "keep": 3}, {"model": "close/model"}]
    for number, more in (stages or {}).items():
        listed[number] |= more
    rerankers = {"deep": {"strategy": "cascade", "config": {"stages": listed, **config}}}
    return engine([wide, close], rerankers=rerankers), wide, close


async def ask(found: Engine, deadline_s: float | None = None, **fields: Any) -> RerankResponse:
    request = RerankRequest(model="deep", query="q", documents=[*DOCUMENTS], **fields)
    return await found.rerank(request, CallContext("r1", deadline_s=deadline_s))


def order(answer: RerankResponse) -> list[int]:
    return [result.index for result in answer.results]


def stages(answer: RerankResponse) -> list[tuple[str, int, StageStatus]]:
    assert answer.extra_fields is not None
    return [(stage.stage, stage.documents, stage.status) for stage in answer.extra_fields.stages]


async def test_each_stage_scores_the_best_of_the_one_before() -> None:
    found, wide, close = opened()
    answer = await ask(found)
    assert answer.extra_fields is not None
    assert [call.documents for call in wide.calls + close.calls] == [DOCUMENTS, ["aaaa", "ccccc", "eee"]]
    assert order(answer) == [4, 0, 2, 3, 1], "those of the last stage, then the others as the first stage ordered them"
    assert stages(answer) == [("wide/model", 5, StageStatus.OK), ("close/model", 3, StageStatus.OK)]
    scores = [result.relevance_score for result in answer.results]
    assert scores[:3] == [1 / 3, 1 / 4, 1 / 5], "the last stage's own"
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 5
    assert (answer.model, answer.extra_fields.provider) == ("deep", "close")
    assert answer.extra_fields.score_space is ScoreSpace.PROBABILITY


async def test_usage_and_cost_are_sums_and_stages_have_their_own() -> None:
    answer = await ask(opened()[0])
    assert answer.usage is not None
    assert answer.extra_fields is not None
    assert (answer.usage.documents, answer.usage.prompt_tokens, answer.usage.cost) == (8, 8, None)
    own = [stage.usage for stage in answer.extra_fields.stages]
    assert [(usage.prompt_tokens, usage.cost) for usage in own if usage] == [(5, None), (3, 0.02)]


async def test_chunks_have_indices_of_their_own() -> None:
    answer = await ask(opened()[0], include_details=True)
    assert answer.extra_fields is not None
    assert [(chunk.chunk_index, chunk.provider) for chunk in answer.extra_fields.chunks] == [(0, "wide"), (1, "close")]


async def test_an_explanation_has_rank_and_score_of_every_stage_that_read_the_document() -> None:
    answer = await ask(opened()[0], include_details=True)
    explained = {
        result.index: [(part.name, part.rank, part.relevance_score) for part in result.explanation.parts]
        for result in answer.results
        if result.explanation
    }
    assert explained[4] == [("wide/model", 3, 3.0), ("close/model", 1, 1 / 3)]
    assert explained[1] == [("wide/model", 5, 1.0)]
    assert all(result.explanation is None for result in (await ask(opened()[0])).results)


@pytest.mark.parametrize(("keep", "read"), [(1, 1), (3, 3), (50, 5), (0.2, 1), (0.21, 2), (0.999, 5), (0.01, 1)])
async def test_keep_is_a_number_or_a_share(keep: float, read: int) -> None:
    found, _, close = opened(stages={0: {"keep": keep}})
    assert len((await ask(found)).results) == 5
    assert len(close.calls[0].documents) == read


@pytest.mark.parametrize(("top_n", "asked"), [(1, [3, 1]), (3, [3, 3]), (4, [4, 4])])
async def test_top_n_is_passed_on_as_far_as_the_next_stage_allows(top_n: int, asked: list[int]) -> None:
    found, wide, close = opened()
    assert order(await ask(found, top_n=top_n)) == [4, 0, 2, 3][:top_n]
    assert [call.top_n for call in wide.calls + close.calls] == asked


@pytest.mark.parametrize(("config", "fields"), [({}, {"score_threshold": 0.22}), ({"score_threshold": 0.22}, {})])
async def test_a_threshold_leaves_out_what_the_last_stage_did_not_score(
    config: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert order(await ask(opened(**config)[0], **fields)) == [4, 0]
    assert order(await ask(opened(**config)[0], score_threshold=-5.0)) == [4, 0, 2]


async def test_a_stage_that_fails_leaves_the_answer_to_the_one_before() -> None:
    found, _, _ = opened(second=failing(), score_threshold=0.1)
    answer = await ask(found)
    assert answer.meta is not None
    assert answer.extra_fields is not None
    assert order(answer) == [2, 0, 4, 3, 1]
    assert answer.extra_fields.score_space is ScoreSpace.COSINE
    assert stages(answer) == [("wide/model", 5, StageStatus.OK), ("close/model", 3, StageStatus.FAILED)]
    assert answer.extra_fields.stages[1].reason == "PROVIDER_UNAVAILABLE"
    assert answer.meta.warnings == [
        "stage close/model failed, so wide/model answered: close/model: down",
        "score_threshold of deep was not applied: its scores are cosine",
    ]


@pytest.mark.parametrize(
    ("parts", "said"),
    [({"first": failing()}, "wide/model: down"), ({"second": failing(), "stages": {1: {"required": True}}}, "close")],
)
async def test_without_the_first_or_a_required_stage_the_call_fails(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ServiceError) as raised:
        await ask(opened(**parts)[0])
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert str(raised.value).startswith(said)


@virtual_time
async def test_a_stage_beyond_the_budget_is_given_up() -> None:
    found, _, close = opened(second=after(60.0), budget_ms=200)
    began_s = loop_time()
    answer = await ask(found)
    assert loop_time() - began_s == pytest.approx(0.2, abs=0.002)
    assert order(answer) == [2, 0, 4, 3, 1]
    assert answer.extra_fields is not None
    assert answer.extra_fields.stages[1].reason == "DEADLINE_EXCEEDED"
    assert close.cancelled == 1


@virtual_time
async def test_a_required_stage_that_the_budget_ends_leaves_the_answer_to_the_one_before() -> None:
    found, _, _ = opened(second=after(60.0), budget_ms=200, stages={1: {"required": True}})
    assert order(await ask(found)) == [2, 0, 4, 3, 1]


@virtual_time
async def test_the_first_stage_ends_whatever_the_budget_and_the_others_are_skipped() -> None:
    found, _, close = opened(first=after(1.0), budget_ms=200)
    answer = await ask(found)
    assert answer.meta is not None
    assert stages(answer) == [("wide/model", 5, StageStatus.OK), ("close/model", 3, StageStatus.SKIPPED)]
    cause = "budget_ms, 200, is spent"
    assert answer.meta.warnings == [f"stage close/model was skipped, so wide/model answered: {cause}"]
    assert answer.extra_fields is not None
    assert answer.extra_fields.stages[1].message == cause
    assert close.calls == []


@virtual_time
async def test_a_near_deadline_leaves_the_answer_to_the_last_stage_that_has_ended() -> None:
    found, _, close = opened(second=after(30.0))
    answer = await ask(found, deadline_s=time.monotonic() + 10.0)
    assert order(answer) == [2, 0, 4, 3, 1]
    assert close.cancelled == 1


PRICE = Price(model="*", unit="call", usd_per_million=1000.0, source="", date="")


class PricedProvider(ScriptedProvider):
    """A provider whose price is known before a call: a dollar for a thousand calls."""

    def describe(self, model: str) -> base.ModelInfo | None:
        return base.ModelInfo(model, self.facts, price=PRICE)


@pytest.mark.parametrize(("budget_usd", "asked"), [(0.0015, 1), (0.002, 2), (0.01, 2)])
async def test_a_stage_that_would_exceed_the_money_is_skipped(budget_usd: float, asked: int) -> None:
    async def paid(call: ProviderCall) -> ProviderReply:
        reply = await by_length(call)
        return ProviderReply(indices=reply.indices, scores=reply.scores, cost_usd=0.001)

    provider = PricedProvider("wide", a=paid, b=paid)
    listed = [{"model": "wide/a", "keep": 3}, {"model": "wide/b"}]
    rerankers = {"deep": {"strategy": "cascade", "config": {"stages": listed, "budget_usd": budget_usd}}}
    answer = await ask(engine([provider], rerankers=rerankers))
    assert answer.usage is not None
    assert len(provider.calls) == asked
    assert answer.usage.cost == pytest.approx(0.001 * asked)
    if asked == 1:
        assert answer.extra_fields is not None
        said = "it would bring the cost to 0.002000 USD, and budget_usd is 0.0015"
        assert answer.extra_fields.stages[1].message == said


async def test_a_stage_without_a_known_price_counts_when_its_cost_is_known() -> None:
    found, _, close = opened(first=by_shortness, budget_usd=0.02)
    assert close.calls == []
    answer = await ask(found)
    assert stages(answer)[1] == ("close/model", 3, StageStatus.SKIPPED)


@virtual_time
async def test_a_cancelled_caller_cancels_the_stage_under_way() -> None:
    found, _, close = opened(second=after(60.0))
    call = asyncio.create_task(ask(found))
    await asyncio.sleep(1.0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert close.cancelled == 1


async def test_a_cascade_within_a_cascade_orders_all_documents() -> None:
    provider = ScriptedProvider(a=by_length, b=by_shortness)
    inner = {"stages": [{"model": "scripted/a", "keep": 2}, {"model": "scripted/b"}], "score_threshold": 0.24}
    outer = {"stages": [{"model": "inner", "keep": 4, "name": "inside"}, {"model": "scripted/a"}]}
    rerankers = {
        name: {"strategy": "cascade", "config": config} for name, config in (("inner", inner), ("deep", outer))
    }
    answer = await ask(engine([provider], rerankers=rerankers))
    assert order(answer) == [2, 0, 4, 3, 1]
    assert answer.extra_fields is not None
    assert [stage.stage for stage in answer.extra_fields.stages] == [
        "inside",
        "inside/scripted/a",
        "inside/scripted/b",
        "scripted/a",
    ]


SPACES = [base.ScoreSpace.PROBABILITY, base.ScoreSpace.COSINE, base.ScoreSpace.LOGIT, base.ScoreSpace.UNBOUNDED]
UNIT = st.floats(0.0, 1.0)
ANY = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=400)
@given(st.data(), st.sampled_from(SPACES), st.integers(0, 50))
def test_what_is_placed_is_below_in_order_and_within_the_space(
    data: st.DataObject, space: base.ScoreSpace, count: int
) -> None:
    is_unit = space in (base.ScoreSpace.PROBABILITY, base.ScoreSpace.COSINE)
    scores = data.draw(st.lists(UNIT if is_unit else ANY, min_size=1, max_size=20))
    kept, placed = place_below(scores, count, space)
    assert len(placed) == count
    assert all(one > other for one, other in zip([min(kept), *placed], placed, strict=False))
    assert [*map(sorted(set(kept)).index, kept)] == [*map(sorted(set(scores)).index, scores)]
    assert all(map(math.isfinite, (*kept, *placed)))
    if space is base.ScoreSpace.PROBABILITY:
        assert all(0 <= score <= 1 for score in (*kept, *placed))
    if min(scores) > 1e-300:
        assert kept == scores


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 12) | st.none(),
)
def test_the_order_is_that_of_the_cascade_whatever_the_scores(
    pairs: list[tuple[int, int]], keep: int, top_n: int | None
) -> None:
    def scored(number: int) -> Answer:
        async def answer(call: ProviderCall) -> ProviderReply:
            values = [float(pairs[int(document)][number]) for document in call.documents]
            return ProviderReply(indices=range(len(values)), scores=values)

        return answer

    provider = ScriptedProvider(a=scored(0), b=scored(1))
    listed = [{"model": "scripted/a", "keep": keep}, {"model": "scripted/b"}]
    found = engine([provider], rerankers={"deep": {"strategy": "cascade", "config": {"stages": listed}}})
    request = RerankRequest(model="deep", query="q", documents=[str(index) for index in range(len(pairs))], top_n=top_n)
    answer = asyncio.run(found.rerank(request, CALL))
    first = sorted(range(len(pairs)), key=lambda index: (-pairs[index][0], index))
    second = sorted(first[:keep], key=lambda index: (-pairs[index][1], index))
    assert order(answer) == [*second, *first[keep:]][:top_n]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"stages": [{"model": "a"}]}, "x.stages must be at least 2, is 1"),
        ({"stages": [{"model": "a"}, {"model": "b"}]}, "x.stages[0].keep is missing"),
        ({"stages": [{"model": "a", "keep": 0}, {"model": "b"}]}, "x.stages[0].keep must be a whole number"),
        ({"stages": [{"model": "a", "keep": 1.5}, {"model": "b"}]}, "x.stages[0].keep must be a whole number"),
        ({"stages": [{"model": "a", "keep": 5}, {"model": "b", "keep": 2}]}, "x.stages[1].keep: the last stage keeps"),
        ({"budget_ms": 0}, "x.budget_ms must be above 0, is 0"),
        ({"budget_usd": -1}, "x.budget_usd must be above 0, is -1"),
    ],
)
def test_values_out_of_range_name_the_key(config: dict[str, Any], said: str) -> None:
    stages = [{"model": "a", "keep": 5}, {"model": "b"}]
    (problem,) = msgspec.convert({"stages": stages, **config}, CascadeConfig).problems("x")
    assert problem.startswith(said)
