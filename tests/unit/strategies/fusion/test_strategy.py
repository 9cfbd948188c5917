"""Strategy fusion: members at once, failures, weights, scales, explanations."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Contribution, RerankRequest, RerankResponse, ScoreSpace, StageStatus
from rerankd.engine.pipeline import Engine
from rerankd_adapters import base
from rerankd_adapters.base import AdapterErrorKind, Capabilities, ProviderCall, ProviderReply, Scoring
from tests.support.engines import engine, failing, hanging
from tests.support.providers import Answer, ScriptedProvider, by_length
from tests.support.waiting import until

CALL = CallContext(request_id="r1")
DOCUMENTS = ["a", "cccc", "bb"]
PROBABILITY = Capabilities(scoring=Scoring.POINTWISE, score_space=base.ScoreSpace.PROBABILITY)
COSINE = Capabilities(scoring=Scoring.POINTWISE, score_space=base.ScoreSpace.COSINE)
COUNTS = Capabilities(scoring=Scoring.LISTWISE, score_space=base.ScoreSpace.UNBOUNDED, minimum_score=0.0)
RANKS = Capabilities(scoring=Scoring.LISTWISE, score_space=base.ScoreSpace.RELATIVE)


def scores(*values: float) -> Answer:
    """Make a model that gives the documents these scores, in request order."""

    async def answer(call: ProviderCall) -> ProviderReply:
        return ProviderReply(indices=range(len(call.documents)), scores=values[: len(call.documents)], model="m")

    return answer


def fusion(*members: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"strategy": "fusion", "config": {"members": list(members), **config}}


def opened(answers: dict[str, tuple[Capabilities, Answer]], members: Sequence[dict[str, Any]], **config: Any) -> Engine:
    """Make an engine with a provider for each answer, whose only model is `m`, and the reranker `both` over members."""
    providers = [ScriptedProvider(name, facts, m=answer) for name, (facts, answer) in answers.items()]
    return engine(providers, rerankers={"both": fusion(*members, **config)})


async def ask(opened: Engine, model: str = "both", call: CallContext = CALL, **fields: Any) -> RerankResponse:
    request = RerankRequest(model=model, query="q", documents=[*DOCUMENTS], **fields)
    return await opened.rerank(request, call)


def order(answer: RerankResponse) -> list[int]:
    return [result.index for result in answer.results]


def parts(answer: RerankResponse, index: int) -> dict[str, Contribution]:
    (found,) = [result for result in answer.results if result.index == index]
    assert found.explanation is not None
    return {part.name: part for part in found.explanation.parts}


TWO = ({"model": "p/m"}, {"model": "c/m"})


async def test_members_of_known_scale_are_weighted_by_what_their_scores_are() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, TWO, method="weighted"), include_details=True)

    assert order(answer) == [0, 1, 2]
    assert answer.extra_fields is not None
    assert answer.extra_fields.score_space is ScoreSpace.RELATIVE
    first, second = parts(answer, 0)["p/m"], parts(answer, 1)["c/m"]
    assert (first.rank, first.relevance_score, first.normalized_score) == (1, 0.9, 1.0)
    assert [first.weight, first.contribution] == pytest.approx([0.8, 0.8])
    assert (second.rank, second.relevance_score, second.normalized_score) == (1, 0.8, 1.0)
    assert [second.weight, second.contribution] == pytest.approx([0.2, 0.2])
    assert parts(answer, 1)["p/m"].normalized_score == pytest.approx(0.5), "log-odds, not probabilities"
    for result in answer.results:
        assert result.relevance_score == pytest.approx(
            sum(part.contribution or 0 for part in parts(answer, result.index).values())
        )


@pytest.mark.parametrize(
    ("facts", "weight"), [(PROBABILITY, 8), (COSINE, 2), (COUNTS, 1), (RANKS, 8), (Capabilities(), 8)]
)
async def test_default_weights(facts: Capabilities, weight: float) -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (facts, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, TWO), include_details=True)
    assert parts(answer, 0)["c/m"].weight == pytest.approx(weight / (8 + weight))


async def test_a_member_that_only_orders_documents_makes_ranks_of_all() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (RANKS, scores(0.2, 0.8, 0.5))}
    members = ({"model": "p/m", "weight": 3}, {"model": "c/m", "weight": 1})

    answer = await ask(opened(answers, members), include_details=True)

    assert parts(answer, 0)["p/m"].normalized_score == pytest.approx(1 / 61)
    assert parts(answer, 0)["c/m"].normalized_score == pytest.approx(1 / 63)
    assert [result.relevance_score for result in answer.results] == pytest.approx(
        [0.75 / 61 + 0.25 / 63, 0.75 / 62 + 0.25 / 61, 0.75 / 63 + 0.25 / 62]
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((1.0, 0.5, 0.0), [1.0, 0.5, 0.0]),
        ((1.0, 2 / 3, 1 / 3), [1.0, 2 / 3 * math.log(2) / (2 * math.log(2) + 1) * 3, 0.0]),
        ((1.0, 1.0, 0.0), [1.0, 1.0, 0.0]),
        ((1e-300, 1e-200, 1e-100), [0.0, 0.5, 1.0]),
    ],
)
async def test_probabilities_of_nought_and_one_leave_the_others_apart(
    given: tuple[float, ...], expected: list[float]
) -> None:
    answers = {"p": (PROBABILITY, scores(*given)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, TWO, method="weighted"), include_details=True)
    assert [parts(answer, index)["p/m"].normalized_score for index in range(3)] == pytest.approx(expected)


async def test_by_default_scores_are_taken_by_their_distribution() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, TWO), include_details=True)
    normalised = [parts(answer, index)["p/m"].normalized_score for index in range(3)]
    assert normalised == pytest.approx([0.5 + 1 / 6, 0.5, 0.5 - 1 / 6]), "one sample deviation apart"


async def test_a_zero_based_score_keeps_its_zero() -> None:
    answers = {"p": (COUNTS, scores(4.0, 2.0, 1.0)), "c": (COUNTS, scores(0.0, 0.0, 0.0))}
    answer = await ask(opened(answers, TWO, method="weighted"), include_details=True)
    assert [result.relevance_score for result in answer.results] == pytest.approx([1.0, 0.5, 0.25])
    assert parts(answer, 0)["c/m"].weight == 0, "equal scores add nothing"


async def test_weights_and_method_of_the_settings() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    members = ({"model": "p/m", "weight": 1}, {"model": "c/m", "weight": 10, "name": "vectors"})

    answer = await ask(opened(answers, members, method="rank"), include_details=True)

    assert order(answer) == [1, 2, 0]
    assert parts(answer, 1)["vectors"].contribution == pytest.approx(10 / 11)


async def test_z_scores_say_that_they_are_unbounded() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, TWO, method="z-score"))
    assert answer.extra_fields is not None
    assert answer.extra_fields.score_space is ScoreSpace.UNBOUNDED
    assert answer.results[-1].relevance_score < 0


async def test_a_failed_member_is_left_out_and_the_answer_says_so() -> None:
    answers = {"p": (PROBABILITY, failing()), "c": (COSINE, scores(0.2, 0.8, 0.5))}

    answer = await ask(opened(answers, TWO), include_details=True)

    assert order(answer) == [1, 2, 0]
    assert list(parts(answer, 1)) == ["c/m"]
    assert parts(answer, 1)["c/m"].weight == 1.0
    assert answer.meta is not None
    assert [warning for warning in answer.meta.warnings if warning.startswith("p/m failed and was left out: ")]
    assert answer.extra_fields is not None
    assert [(stage.stage, stage.status) for stage in answer.extra_fields.stages] == [
        ("p/m", StageStatus.FAILED),
        ("c/m", StageStatus.OK),
    ]


async def test_a_required_member_fails_the_call_and_ends_the_others() -> None:
    ended = asyncio.Event()

    async def hang(call: ProviderCall) -> ProviderReply:
        try:
            return await hanging(call)
        finally:
            ended.set()

    answers = {"p": (PROBABILITY, failing(AdapterErrorKind.REJECTED)), "c": (COSINE, hang)}
    with pytest.raises(ServiceError) as raised:
        await ask(opened(answers, ({"model": "p/m", "required": True}, {"model": "c/m"})))
    assert raised.value.reason is Reason.PROVIDER_REJECTED_REQUEST
    assert ended.is_set()


async def test_when_all_fail_the_error_names_each() -> None:
    answers = {"p": (PROBABILITY, failing(message="gone")), "c": (COSINE, failing(message="burnt"))}
    with pytest.raises(ServiceError) as raised:
        await ask(opened(answers, TWO))
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert "gone" in raised.value.message
    assert "burnt" in raised.value.message


async def test_a_member_of_weight_nought_is_not_asked() -> None:
    answers = {"p": (PROBABILITY, failing()), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    answer = await ask(opened(answers, ({"model": "p/m", "weight": 0}, {"model": "c/m"})))
    assert answer.extra_fields is not None
    assert [(stage.status, stage.message) for stage in answer.extra_fields.stages] == [
        (StageStatus.SKIPPED, "its weight is 0"),
        (StageStatus.OK, None),
    ]
    assert answer.meta is not None
    assert answer.meta.warnings == []


@pytest.mark.parametrize("timeout_ms", [None, 20])
async def test_a_slow_member_is_left_out_before_the_deadline(timeout_ms: int | None) -> None:
    answers = {"p": (PROBABILITY, hanging), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    found = opened(answers, ({"model": "p/m", "timeout_ms": timeout_ms}, {"model": "c/m"}))
    call = CallContext(request_id="r1", deadline_s=time.monotonic() + 0.4)

    answer = await ask(found, call=call)

    assert order(answer) == [1, 2, 0]
    assert time.monotonic() < (call.deadline_s or 0)


async def test_the_callers_cancellation_reaches_every_member() -> None:
    begun: list[str] = []
    ended: list[str] = []

    def hang(name: str) -> Callable[[ProviderCall], Awaitable[ProviderReply]]:
        async def answer(call: ProviderCall) -> ProviderReply:
            begun.append(name)
            try:
                return await hanging(call)
            finally:
                ended.append(name)

        return answer

    found = opened({"p": (PROBABILITY, hang("p")), "c": (COSINE, hang("c"))}, TWO)
    task = asyncio.create_task(ask(found))
    await until(lambda: len(begun) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["c", "p"]


async def test_usage_is_the_sum_and_all_members_are_asked_for_all_documents() -> None:
    providers = [ScriptedProvider("p", PROBABILITY, m=by_length), ScriptedProvider("c", COSINE, m=by_length)]
    found = engine(providers, rerankers={"both": fusion(*TWO)})

    answer = await ask(found, top_n=1)

    assert [call.top_n for provider in providers for call in provider.calls] == [None, None]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 6
    assert len(answer.results) == 1


async def test_a_fusion_within_a_fusion() -> None:
    answers = {"p": (PROBABILITY, scores(0.9, 0.5, 0.1)), "c": (COSINE, scores(0.2, 0.8, 0.5))}
    providers = [ScriptedProvider(name, facts, m=answer) for name, (facts, answer) in answers.items()]
    rerankers = {
        "inner": fusion(*TWO),
        "both": fusion({"model": "inner"}, {"model": "c/m", "weight": 8}, method="weighted"),
    }

    answer = await ask(engine(providers, rerankers=rerankers), include_details=True)

    assert parts(answer, 0)["inner"].normalized_score == pytest.approx(1.0)
    assert parts(answer, 0)["inner"].weight == pytest.approx(0.5)


members_down = st.lists(st.booleans(), min_size=3, max_size=3)


@settings(max_examples=30, deadline=None)
@given(down=members_down, required=members_down)
def test_only_a_required_members_failure_fails_the_call(down: list[bool], required: list[bool]) -> None:
    providers = [
        ScriptedProvider(f"p{number}", PROBABILITY, m=failing() if is_down else scores(0.9, 0.5, 0.1))
        for number, is_down in enumerate(down)
    ]
    members = [{"model": f"p{number}/m", "required": needed} for number, needed in enumerate(required)]
    found = engine(providers, rerankers={"both": fusion(*members)})

    async def run() -> RerankResponse:
        return await ask(found)

    if all(down) or any(is_down and needed for is_down, needed in zip(down, required, strict=True)):
        with pytest.raises(ServiceError):
            asyncio.run(run())
    else:
        answer = asyncio.run(run())
        assert order(answer) == [0, 1, 2]
        assert answer.meta is not None
        assert len(answer.meta.warnings) == sum(down)
