"""ChunkExecutor: retries, hedges, timeouts and final errors."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support import providers
from tests.support.engines import Clock, deployment, failing, group, hanging, in_turn
from tests.support.providers import ScriptedProvider, by_length

CALL = ProviderCall(model="search", query="q", documents=["a", "bb"])


def named(**answers: providers.Answer) -> list[ScriptedProvider]:
    return [ScriptedProvider(name, model=answer) for name, answer in answers.items()]


def attempts(
    searched: ModelGroup, call: ProviderCall = CALL, clock: Clock | None = None, **facts: Any
) -> ChunkExecutor:
    clock = clock or Clock()
    return ChunkExecutor(searched, call, sleep=clock.sleep, jitter=lambda: 1.0, **facts)


async def failure_of(made: ChunkExecutor) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await made.run()
    assert sum(each.in_flight for each in made.group.deployments) == 0
    return raised.value


def calls(scripted: Sequence[ScriptedProvider]) -> list[int]:
    return [len(provider.calls) for provider in scripted]


def within(seconds: float) -> ProviderCall:
    return ProviderCall(model="search", query="q", documents=["a"], deadline_s=time.monotonic() + seconds)


async def answered(call: ProviderCall) -> ProviderReply:
    return await by_length(call)


# Retries.


@pytest.mark.parametrize("kind", [AdapterErrorKind.UNAVAILABLE, AdapterErrorKind.CREDENTIALS, AdapterErrorKind.TIMEOUT])
async def test_a_failure_goes_to_another_deployment_at_once(kind: AdapterErrorKind) -> None:
    clock = Clock()
    scripted = named(a=failing(kind), b=answered)
    answer = await attempts(group(scripted, clock), clock=clock).run()
    assert (answer.deployment.provider.name, answer.attempts) == ("b", 2)
    assert clock.now_s == 1000.0


async def test_the_same_deployment_again_after_growing_pauses() -> None:
    clock = Clock()
    (provider,) = scripted = named(a=in_turn(failing(), failing(), failing(), answered))
    searched = group(scripted, clock, retries={"max_attempts": 4, "initial_delay_ms": 100})
    answer = await attempts(searched, clock=clock).run()
    assert (answer.attempts, len(provider.calls)) == (4, 4)
    assert clock.now_s - 1000 == pytest.approx(0.1 + 0.2 + 0.4)


async def test_what_every_deployment_would_reject_is_not_tried_elsewhere() -> None:
    rejecting = failing(AdapterErrorKind.REJECTED, "too long", field="documents[1]", status=400)
    scripted = named(a=rejecting, b=rejecting)
    failure = await failure_of(attempts(group(scripted), indices=[7, 9]))
    assert failure.reason is Reason.PROVIDER_REJECTED_REQUEST
    assert failure.violations[0].field == "documents[9]"
    assert failure.metadata["provider_status"] == "400"
    assert sum(calls(scripted)) == 1


async def test_a_failure_that_stays_is_not_retried_at_the_same_deployment() -> None:
    scripted = named(a=failing(AdapterErrorKind.CREDENTIALS, "wrong key"))
    failure = await failure_of(attempts(group(scripted)))
    assert failure.reason is Reason.PROVIDER_CREDENTIALS_REJECTED
    assert calls(scripted) == [1]


async def test_the_error_says_what_every_deployment_said() -> None:
    scripted = named(
        a=failing(message="connection refused"),
        b=failing(AdapterErrorKind.BAD_RESPONSE, "no JSON"),
        c=failing(AdapterErrorKind.RATE_LIMITED, "slow down", retry_after_s=30.0),
    )
    failure = await failure_of(attempts(group(scripted)))
    for said in ("a/model: connection refused", "b/model: no JSON", "c/model: slow down"):
        assert said in str(failure)
    assert failure.metadata["attempts"] == "3"
    assert failure.retry_after_s == 30.0


async def test_attempts_are_bounded() -> None:
    scripted = named(a=failing(), b=failing(), c=failing(), d=failing())
    await failure_of(attempts(group(scripted, retries={"max_attempts": 2})))
    assert sum(calls(scripted)) == 2


async def test_a_provider_that_says_when_is_called_then() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=2.0)
    scripted = named(a=in_turn(limited, answered))
    await attempts(group(scripted, clock), clock=clock).run()
    assert clock.now_s - 1000 == pytest.approx(2.0 + 0.1)


async def test_a_provider_that_asks_for_too_long_is_given_up() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=6.0)
    scripted = named(a=in_turn(limited, answered))
    failure = await failure_of(attempts(group(scripted, clock), clock=clock))
    assert (failure.reason, failure.retry_after_s) == (Reason.PROVIDER_RATE_LIMITED, 6.0)
    assert (calls(scripted), clock.now_s) == ([1], 1000.0)


async def test_no_retry_past_the_deadline() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=3.0)
    scripted = named(a=in_turn(limited, answered))
    await failure_of(attempts(group(scripted, clock), within(2.0), clock))
    assert (calls(scripted), clock.now_s) == ([1], 1000.0)


async def test_with_everything_down_calls_grow_by_the_budget_and_no_more() -> None:
    scripted = named(a=failing(), b=failing())
    retries = {"max_attempts": 3, "budget": 0.2, "burst": 5}
    searched = group(scripted, retries=retries, cooldown={"failures": 0})
    for _ in range(200):
        await failure_of(attempts(searched))
    assert 200 < sum(calls(scripted)) <= 200 * 1.2 + 5


async def test_all_calls_that_waited_out_a_rate_limit_go_on_once_the_first_is_through() -> None:
    clock = Clock()

    async def limited(_call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0)
        raise AdapterError(AdapterErrorKind.RATE_LIMITED, "slow down", retry_after_s=1.0)

    async def slowly(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return await by_length(call)

    everyone = asyncio.Barrier(10)

    async def sleep(_seconds: float) -> None:
        await everyone.wait()
        clock.now_s = 1001.1

    scripted = named(a=in_turn(*[limited] * 10, slowly))
    searched = group(scripted, clock)
    waiting = [ChunkExecutor(searched, CALL, sleep=sleep) for _ in range(10)]
    answers = await asyncio.gather(*(each.run() for each in waiting))
    assert len(answers) == 10
    assert calls(scripted) == [20]
    assert searched.deployments[0].in_flight == 0


# Nothing to call.


async def test_nobody_healthy_is_said_with_their_last_words_and_when_to_come_back() -> None:
    clock = Clock()
    scripted = named(a=failing(message="connection refused"), b=failing(message="no route"))
    searched = group(scripted, clock, cooldown={"failures": 1, "initial_s": 8.0})
    await failure_of(attempts(searched))
    failure = await failure_of(attempts(searched))
    assert failure.reason is Reason.NO_HEALTHY_DEPLOYMENT
    assert "connection refused" in str(failure)
    assert "no route" in str(failure)
    assert failure.retry_after_s == pytest.approx(8.0, rel=0.11)
    assert calls(scripted) == [1, 1]


async def test_nobody_below_their_rate_limits() -> None:
    clock = Clock()
    limited = [deployment(ScriptedProvider(name), clock, requests_per_minute=2) for name in "ab"]
    searched = ModelGroup("search", limited, group([], clock).options)
    for _ in range(4):
        await attempts(searched).run()
    failure = await failure_of(attempts(searched))
    assert (failure.reason, failure.retry_after_s) == (Reason.RATE_LIMITED, 30.0)
    clock.now_s += 30.0
    await attempts(searched).run()


async def test_everyone_full_and_queueing() -> None:
    full = deployment(ScriptedProvider(model=hanging), max_concurrent=1, max_queued=1)
    searched = ModelGroup("search", [full], group([]).options)
    tasks = [asyncio.create_task(attempts(searched).run()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as raised:
        await attempts(searched).run()
    assert (raised.value.reason, raised.value.retry_after_s) == (Reason.OVERLOADED, 1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert full.in_flight == 0


# Time.


async def test_a_hanging_deployment_leaves_time_for_the_others() -> None:
    scripted = named(a=hanging, b=answered)
    searched = group(scripted)
    answer = await attempts(searched, within(0.4)).run()
    assert (answer.deployment.provider.name, answer.attempts) == ("b", 2)
    assert scripted[0].cancelled == 1


async def test_the_last_deployment_gets_all_the_time_there_is() -> None:
    scripted = named(a=answered)
    call = within(100.0)
    await attempts(group(scripted), call).run()
    assert scripted[0].calls[0].deadline_s == call.deadline_s
    await attempts(group(scripted), call, has_fallback=True).run()
    given_s = scripted[0].calls[1].deadline_s
    assert given_s is not None
    assert given_s - time.monotonic() == pytest.approx(50.0, abs=5.0)


async def test_an_attempt_may_be_given_its_own_time() -> None:
    scripted = named(a=hanging, b=hanging)
    failure = await failure_of(attempts(group(scripted, attempt_timeout_s=0.02, retries={"max_attempts": 2})))
    assert failure.reason is Reason.PROVIDER_UNAVAILABLE
    assert "no reply within 0.02 s" in str(failure)
    assert [provider.cancelled for provider in scripted] == [1, 1]


async def test_a_deadline_that_has_passed_is_said_so() -> None:
    scripted = named(a=answered)
    failure = await failure_of(attempts(group(scripted), within(-1.0)))
    assert failure.reason is Reason.DEADLINE_EXCEEDED
    assert calls(scripted) == [0]


# Hedges.


def hedging(
    scripted: Sequence[ScriptedProvider], *, retries: dict[str, Any] | None = None, **policy: Any
) -> ModelGroup:
    """Make a model whose deployments are known to answer within 10 ms."""
    hedge = {"enabled": True, "min_delay_ms": 10.0, **policy}
    searched = group(scripted, time.monotonic, hedge=hedge, retries=retries or {})
    for each in searched.deployments:
        for _ in range(20):
            each.latency.observe(0.001)
    return searched


async def run(searched: ModelGroup) -> ChunkResult:
    return await attempts(searched).run()


async def test_a_slow_call_gets_one_copy_and_the_loser_is_cancelled() -> None:
    scripted = named(a=hanging, b=answered, c=answered)
    answer = await run(hedging(scripted))
    assert (answer.attempts, answer.is_hedged) == (2, True)
    assert answer.deployment.provider.name != "a"
    assert (scripted[0].cancelled, sum(calls(scripted))) == (1, 2)


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


async def test_when_both_fail_each_is_blamed_for_its_own() -> None:
    failed = asyncio.Event()

    async def second(_call: ProviderCall) -> ProviderReply:
        failed.set()
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, "said by b")

    async def first(_call: ProviderCall) -> ProviderReply:
        await failed.wait()
        raise AdapterError(AdapterErrorKind.CREDENTIALS, "said by a")

    failure = await failure_of(attempts(hedging(named(a=first, b=second))))
    assert "a/model: said by a" in str(failure)
    assert "b/model: said by b" in str(failure)


@pytest.mark.parametrize("retries", [0, 3])
async def test_second_copies_are_bounded(retries: int) -> None:
    """By the hedge budget; those of calls that are very late by the retry budget too."""

    async def slow(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0.3)
        return await by_length(call)

    scripted = named(a=slow, b=slow)
    searched = hedging(scripted, burst=2, budget=0.0, retries={"burst": retries, "budget": 0.0})
    answers = await asyncio.gather(*(run(searched) for _ in range(10)))
    assert sum(answer.is_hedged for answer in answers) == 2 + retries
    assert sum(calls(scripted)) == 12 + retries
    assert sum(each.in_flight for each in searched.deployments) == 0


async def test_nothing_is_hedged_before_it_is_known_what_is_slow() -> None:
    searched = group(named(a=hanging, b=answered), time.monotonic, hedge={"enabled": True}, attempt_timeout_s=0.05)
    answer = await run(searched)
    assert (answer.is_hedged, answer.attempts) == (False, 2)


async def test_a_call_that_is_cancelled_takes_its_copies_along() -> None:
    scripted = named(a=hanging, b=hanging)
    searched = hedging(scripted)
    task = asyncio.create_task(run(searched))
    while sum(calls(scripted)) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [provider.cancelled for provider in scripted] == [1, 1]
    assert sum(each.in_flight for each in searched.deployments) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_calls_that_come_while_the_first_after_a_cooldown_is_under_way_wait_for_it() -> None:
    clock = Clock()
    (provider,) = scripted = named(a=failing())
    searched = group(scripted, clock, cooldown={"failures": 1}, retries={"max_attempts": 1})
    await failure_of(attempts(searched))
    go_on = asyncio.Event()

    async def when_told(call: ProviderCall) -> ProviderReply:
        await go_on.wait()
        return await by_length(call)

    provider._answers["model"] = when_told
    clock.now_s += 3600
    waiting = [asyncio.create_task(run(searched)) for _ in range(20)]
    while len(provider.calls) < 2:
        await asyncio.sleep(0)
    assert len(provider.calls) == 2
    go_on.set()
    assert len(await asyncio.gather(*waiting)) == 20


async def test_a_probe_that_hangs_is_not_waited_for_long() -> None:
    clock = Clock()
    (provider,) = scripted = named(a=failing())
    searched = group(scripted, clock, cooldown={"failures": 1}, retries={"max_attempts": 1})
    await failure_of(attempts(searched))
    provider._answers["model"] = hanging
    clock.now_s += 3600
    probe = asyncio.create_task(run(searched))
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as raised:
        await run(searched)
    assert raised.value.reason is Reason.NO_HEALTHY_DEPLOYMENT
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert searched.deployments[0].in_flight == 0
