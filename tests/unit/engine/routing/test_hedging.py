"""Hedges: second copies of slow calls, in virtual time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import group, hanging
from tests.support.providers import ScriptedProvider, by_length, calls_of, named
from tests.support.virtual_time import loop_time, virtual_time

CALL = ProviderCall(model="search", query="q", documents=["a", "bb"])


async def failure_of(searched: ModelGroup) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await run(searched)
    return raised.value


def hedging(
    scripted: Sequence[ScriptedProvider], *, retries: dict[str, Any] | None = None, **policy: Any
) -> ModelGroup:
    """Make a model whose deployments are known to answer within 10 ms."""
    hedge = {"enabled": True, "min_delay_ms": 10.0, **policy}
    searched = group(scripted, loop_time, hedge=hedge, retries=retries or {})
    for each in searched.deployments:
        for _ in range(20):
            each.latency.observe(0.001)
    return searched


async def run(searched: ModelGroup) -> ChunkResult[ProviderReply]:
    return await ChunkExecutor(searched, CALL, clock=loop_time).run()


@virtual_time
async def test_a_slow_call_gets_one_copy_and_the_loser_is_cancelled() -> None:
    scripted = named(a=hanging, b=by_length, c=by_length)
    answer = await run(hedging(scripted))
    assert (answer.attempts, answer.is_hedged) == (2, True)
    assert answer.deployment.provider.name != "a"
    assert (scripted[0].cancelled, sum(calls_of(scripted))) == (1, 2)


@virtual_time
async def test_the_first_answer_wins_even_when_it_is_the_first_calls() -> None:
    released = asyncio.Event()

    async def when_released(call: ProviderCall) -> ProviderReply:
        await released.wait()
        return await by_length(call)

    async def releasing(_call: ProviderCall) -> ProviderReply:
        released.set()
        return await hanging(_call)

    scripted = named(a=when_released, b=releasing)
    answer = await run(hedging(scripted))
    assert (answer.deployment.provider.name, answer.is_hedged) == ("a", True)
    assert scripted[1].cancelled == 1


@virtual_time
async def test_a_failed_copy_does_not_fail_the_call() -> None:
    failed = asyncio.Event()

    async def after_the_copy(call: ProviderCall) -> ProviderReply:
        await failed.wait()
        await asyncio.sleep(0)
        return await by_length(call)

    async def fail(_call: ProviderCall) -> ProviderReply:
        failed.set()
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, "down")

    answer = await run(hedging(named(a=after_the_copy, b=fail)))
    assert answer.deployment.provider.name == "a"


@virtual_time
async def test_when_both_fail_each_is_blamed_for_its_own() -> None:
    failed = asyncio.Event()

    async def second(_call: ProviderCall) -> ProviderReply:
        failed.set()
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, "said by b")

    async def first(_call: ProviderCall) -> ProviderReply:
        await failed.wait()
        raise AdapterError(AdapterErrorKind.CREDENTIALS, "said by a")

    failure = await failure_of(hedging(named(a=first, b=second)))
    assert "a/model: said by a" in str(failure)
    assert "b/model: said by b" in str(failure)


@pytest.mark.parametrize("retries", [0, 3])
@virtual_time
async def test_second_copies_are_bounded(retries: int) -> None:
    """By the hedge budget; those of calls that are very late by the retry budget too."""

    async def slow(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0.3)
        return await by_length(call)

    scripted = named(a=slow, b=slow)
    searched = hedging(scripted, burst=2, budget=0.0, retries={"burst": retries, "budget": 0.0, "min_per_s": 0})
    answers = await asyncio.gather(*(run(searched) for _ in range(10)))
    assert sum(answer.is_hedged for answer in answers) == 2 + retries
    assert sum(calls_of(scripted)) == 12 + retries
    assert sum(each.in_flight for each in searched.deployments) == 0


@virtual_time
async def test_nothing_is_hedged_before_it_is_known_what_is_slow() -> None:
    searched = group(named(a=hanging, b=by_length), loop_time, hedge={"enabled": True}, attempt_timeout_s=0.05)
    answer = await run(searched)
    assert (answer.is_hedged, answer.attempts) == (False, 2)


@virtual_time
async def test_a_call_that_is_cancelled_takes_its_copies_along() -> None:
    scripted = named(a=hanging, b=hanging)
    searched = hedging(scripted)
    task = asyncio.create_task(run(searched))
    while sum(calls_of(scripted)) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [provider.cancelled for provider in scripted] == [1, 1]
    assert sum(each.in_flight for each in searched.deployments) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
