"""Attempts that take far longer than their deployment usually does, in virtual time."""

import asyncio
from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.settings import AdaptiveTimeoutSettings
from rerankd_adapters.base import ProviderCall, ProviderReply
from tests.support.engines import group, hanging, in_turn
from tests.support.providers import Answer, ScriptedProvider, by_length, calls_of, named
from tests.support.virtual_time import loop_time, virtual_time

CALL = ProviderCall(model="search", query="q", documents=["a", "bb"])
LARGE = ProviderCall(model="search", query="q", documents=["a" * 1000] * 100)
USUAL_S = 0.05
INITIAL_S = AdaptiveTimeoutSettings().initial_s


def after(seconds: float) -> Answer:
    async def answer(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(seconds)
        return await by_length(call)

    return answer


async def run(searched: ModelGroup, call: ProviderCall = CALL, **facts: Any) -> ChunkResult[ProviderReply]:
    return await ChunkExecutor(searched, call, jitter=lambda: 1.0, clock=loop_time, **facts).run()


def learnt(searched: ModelGroup, latency_s: float = USUAL_S) -> ModelGroup:
    """Let every deployment have answered calls of the size of `CALL`."""
    for each in searched.deployments:
        for _ in range(20):
            each._observe(CALL.size(), each._clock() - latency_s)
    return searched


async def seconds(searched: ModelGroup, call: ProviderCall = CALL, **facts: Any) -> float:
    began_s = loop_time()
    await run(searched, call, **facts)
    return loop_time() - began_s


@virtual_time
async def test_a_hung_deployment_costs_one_limit_and_is_left_alone_after_a_few_calls() -> None:
    scripted = named(a=hanging, b=after(USUAL_S), c=after(USUAL_S))
    searched = learnt(group(scripted, loop_time))
    waits = [await seconds(searched) for _ in range(300)]
    assert max(waits) == pytest.approx(1.0 + USUAL_S)
    assert len(scripted[0].calls) == scripted[0].cancelled <= 7
    assert sum(wait > USUAL_S * 1.01 for wait in waits) == len(scripted[0].calls)


@virtual_time
async def test_few_of_many_concurrent_calls_reach_the_hung_one() -> None:
    scripted = named(a=hanging, b=after(USUAL_S), c=after(USUAL_S))
    searched = learnt(group(scripted, loop_time))

    async def arrive(number: int) -> float:
        await asyncio.sleep(number / 100)
        return await seconds(searched)

    waits = await asyncio.gather(*(arrive(number) for number in range(1000)))
    assert max(waits) <= 1.0 + USUAL_S + 0.01
    assert len(scripted[0].calls) <= 10
    assert sorted(waits)[990] == pytest.approx(USUAL_S)


@virtual_time
async def test_dribbled_bytes_do_not_extend_the_limit() -> None:
    async def dribbling(_call: ProviderCall) -> ProviderReply:
        while True:
            await asyncio.sleep(0.2)

    scripted = named(a=dribbling, b=after(USUAL_S))
    assert await seconds(learnt(group(scripted, loop_time))) == pytest.approx(1.0 + USUAL_S)


@virtual_time
async def test_a_large_chunk_is_given_time_for_its_size() -> None:
    scripted = named(a=after(3.0), b=after(3.0))
    searched = learnt(group(scripted, loop_time))
    answer = await run(searched, LARGE)
    assert (answer.attempts, sum(calls_of(scripted))) == (1, 1)
    assert (await run(searched, CALL)).attempts == 2


@virtual_time
async def test_a_model_not_called_before_is_given_time_to_start() -> None:
    scripted = named(a=after(INITIAL_S - 1), b=after(INITIAL_S - 1))
    assert (await run(group(scripted, loop_time))).attempts == 1


@virtual_time
async def test_a_model_that_became_slow_everywhere_is_not_failed() -> None:
    scripted = named(a=after(4.0), b=after(4.0), c=after(4.0))
    searched = learnt(group(scripted, loop_time))
    answers = [await run(searched) for _ in range(60)]
    assert {answer.attempts for answer in answers[-20:]} == {1}


@virtual_time
async def test_nothing_is_cut_off_within_some_seconds_without_something_else_to_try() -> None:
    assert await seconds(learnt(group(named(a=after(9.0)), loop_time))) == 9.0
    none = {"burst": 0, "budget": 0.0, "min_per_s": 0}
    spent = learnt(group(named(a=after(9.0), b=after(9.0)), loop_time, retries=none))
    assert await seconds(spent) == 9.0
    once = learnt(group(named(a=after(9.0), b=after(9.0)), loop_time, retries={"max_attempts": 1}))
    assert await seconds(once) == 9.0
    assert await seconds(group(named(a=after(50.0)), loop_time)) == 50.0
    slow = learnt(group(named(a=after(60.0)), loop_time), 10.0)
    assert await seconds(slow) == 60.0


@virtual_time
async def test_a_lone_hung_deployment_holds_a_call_for_ten_seconds_and_then_few() -> None:
    scripted = named(a=hanging)
    searched = learnt(group(scripted, loop_time))
    for _ in range(5):
        began_s = loop_time()
        with pytest.raises(ServiceError) as failed:
            await run(searched)
        assert failed.value.reason is Reason.PROVIDER_UNAVAILABLE
        assert "no reply within 10 s; calls of this size usually take at most 0.064 s" in failed.value.message
        assert loop_time() - began_s == pytest.approx(INITIAL_S)
    assert scripted[0].cancelled == 5
    with pytest.raises(ServiceError) as failed:
        await run(searched)
    assert (failed.value.reason, len(scripted[0].calls)) == (Reason.NO_HEALTHY_DEPLOYMENT, 5)


@virtual_time
async def test_a_lone_deployment_that_answers_others_is_waited_for() -> None:
    searched = learnt(
        group(named(a=in_turn(after(30.0), *[after(USUAL_S)] * 5)), loop_time, retries={"max_attempts": 1})
    )
    slow = asyncio.create_task(seconds(searched))
    for _ in range(5):
        await asyncio.sleep(2.0)
        await run(searched)
    assert await slow == 30.0


@virtual_time
async def test_a_lost_call_is_sent_again_to_a_lone_deployment_that_answers_others() -> None:
    scripted = named(a=in_turn(hanging, after(USUAL_S)))
    searched = learnt(group(scripted, loop_time))
    lost = asyncio.create_task(seconds(searched))
    await asyncio.sleep(0.1)
    for _ in range(10):
        await run(searched)
    assert await lost == pytest.approx(1.0 + 0.1 + USUAL_S)
    assert not searched.deployments[0].breaker.is_tripped


@virtual_time
async def test_a_slow_call_to_a_lone_deployment_that_answers_few_others_is_waited_for() -> None:
    scripted = named(a=in_turn(after(30.0), after(USUAL_S)))
    searched = learnt(group(scripted, loop_time))
    slow = asyncio.create_task(seconds(searched))
    await asyncio.sleep(0.1)
    for _ in range(9):
        await run(searched)
    assert await slow == 30.0


@virtual_time
async def test_an_embedded_model_is_waited_for_however_slow_it_is() -> None:
    searched = learnt(group([ScriptedProvider("local", model=in_turn(after(30.0), after(USUAL_S)))], loop_time))
    slow = asyncio.create_task(seconds(searched))
    await asyncio.sleep(0.1)
    for _ in range(20):
        await run(searched)
    assert await slow == 30.0


@virtual_time
async def test_a_hung_model_with_a_fallback_is_given_up_and_then_cooled_down() -> None:
    (provider,) = scripted = named(a=hanging)
    searched = learnt(group(scripted, loop_time))
    reasons = []
    for _ in range(7):
        with pytest.raises(ServiceError) as raised:
            await run(searched, has_fallback=True)
        reasons.append(raised.value.reason)
    assert reasons == [Reason.PROVIDER_UNAVAILABLE] * 5 + [Reason.NO_HEALTHY_DEPLOYMENT] * 2
    assert len(provider.calls) == 5


@virtual_time
async def test_a_model_that_always_fell_back_is_given_more_time_until_it_answers() -> None:
    scripted = named(a=after(INITIAL_S * 1.5))
    searched = group(scripted, loop_time)
    attempts = 0
    while True:
        attempts += 1
        try:
            await run(searched, has_fallback=True)
        except ServiceError:
            await asyncio.sleep(1.0)
            continue
        break
    assert len(scripted[0].calls) == 6
    assert attempts <= 12
    assert (await run(searched, has_fallback=True)).attempts == 1


@virtual_time
async def test_a_probe_of_a_hung_deployment_takes_one_call() -> None:
    scripted = named(a=hanging, b=after(USUAL_S))
    searched = learnt(group(scripted, loop_time, cooldown={"failures": 1}))
    await run(searched)
    (hung,) = (each for each in searched.deployments if each.provider is scripted[0])
    assert (len(scripted[0].calls), hung.breaker.is_open) == (1, True)
    await asyncio.sleep(6.0)
    waits = await asyncio.gather(*(seconds(searched) for _ in range(20)))
    assert len(scripted[0].calls) == 2
    assert sorted(waits)[:-1] == pytest.approx([USUAL_S] * 19)
    assert hung.breaker.remaining_s > 5.0


@virtual_time
async def test_a_cut_off_attempt_says_after_how_long() -> None:
    scripted = named(a=hanging)
    with pytest.raises(ServiceError, match=r"a/model: no reply within 1 s") as raised:
        await run(learnt(group(scripted, loop_time)), has_fallback=True)
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual_time
async def test_a_call_that_is_cancelled_leaves_no_timer() -> None:
    searched = learnt(group(named(a=hanging, b=hanging), loop_time))
    task = asyncio.create_task(run(searched))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await asyncio.sleep(5.0)
    assert sum(each.in_flight for each in searched.deployments) == 0


@virtual_time
async def test_time_in_our_own_queue_moves_a_call_but_blames_nobody() -> None:
    searched = learnt(group(named(a=hanging, b=after(USUAL_S)), loop_time, cooldown={"failures": 1}))
    hung = searched.deployments[0]
    hung.limiter.limit = 1
    busy = asyncio.create_task(hung.call(CALL, 0, None))
    await asyncio.sleep(0)
    hung.limiter.limit, other = 1, searched.deployments[1]
    other.weight = 0.0
    hung._heard_s += 3600.0
    assert await seconds(searched) == pytest.approx(1.0 + USUAL_S)
    assert not hung.breaker.is_open
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
