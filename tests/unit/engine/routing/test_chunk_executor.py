"""ChunkExecutor: retries, timeouts, probes and final errors."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor
from rerankd.engine.routing.model_group import ModelGroup
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import Clock, deployment, failing, group, hanging, in_turn
from tests.support.providers import Answer, ScriptedProvider, by_length, calls_of, named
from tests.support.virtual_time import loop_time, virtual_time

CALL = ProviderCall(model="search", query="q", documents=["a", "bb"])


def attempts(
    searched: ModelGroup, call: ProviderCall = CALL, clock: Clock | None = None, **facts: Any
) -> ChunkExecutor[ProviderReply]:
    clock = clock or Clock()
    return ChunkExecutor(searched, call, sleep=clock.sleep, jitter=lambda: 1.0, **facts)


async def failure_of(made: ChunkExecutor[ProviderReply]) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await made.run()
    assert sum(each.in_flight for each in made.group.deployments) == 0
    return raised.value


def within(seconds: float) -> ProviderCall:
    return ProviderCall(model="search", query="q", documents=["a"], deadline_s=time.monotonic() + seconds)


# Retries.


@pytest.mark.parametrize("kind", [AdapterErrorKind.UNAVAILABLE, AdapterErrorKind.CREDENTIALS, AdapterErrorKind.TIMEOUT])
async def test_a_failure_goes_to_another_deployment_at_once(kind: AdapterErrorKind) -> None:
    clock = Clock()
    scripted = named(a=failing(kind), b=by_length)
    answer = await attempts(group(scripted, clock), clock=clock).run()
    assert (answer.deployment.provider.name, answer.attempts) == ("b", 2)
    assert clock.now_s == 1000.0


async def test_the_same_deployment_again_after_growing_pauses() -> None:
    clock = Clock()
    (provider,) = scripted = named(a=in_turn(failing(), failing(), failing(), by_length))
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
    assert sum(calls_of(scripted)) == 1


async def test_a_failure_that_stays_is_not_retried_at_the_same_deployment() -> None:
    scripted = named(a=failing(AdapterErrorKind.CREDENTIALS, "wrong key"))
    failure = await failure_of(attempts(group(scripted)))
    assert failure.reason is Reason.PROVIDER_CREDENTIALS_REJECTED
    assert calls_of(scripted) == [1]


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
    assert sum(calls_of(scripted)) == 2


async def test_a_provider_that_says_when_is_called_then() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=2.0)
    scripted = named(a=in_turn(limited, by_length))
    await attempts(group(scripted, clock), clock=clock).run()
    assert clock.now_s - 1000 == pytest.approx(2.0 + 0.1)


async def test_a_provider_that_asks_for_too_long_is_given_up() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=6.0)
    scripted = named(a=in_turn(limited, by_length))
    failure = await failure_of(attempts(group(scripted, clock), clock=clock))
    assert (failure.reason, failure.retry_after_s) == (Reason.PROVIDER_RATE_LIMITED, 6.0)
    assert (calls_of(scripted), clock.now_s) == ([1], 1000.0)


async def test_no_retry_past_the_deadline() -> None:
    clock = Clock()
    limited = failing(AdapterErrorKind.RATE_LIMITED, retry_after_s=3.0)
    scripted = named(a=in_turn(limited, by_length))
    await failure_of(attempts(group(scripted, clock), within(2.0), clock))
    assert (calls_of(scripted), clock.now_s) == ([1], 1000.0)


async def test_with_everything_down_calls_grow_by_the_budget_and_no_more() -> None:
    scripted = named(a=failing(), b=failing())
    retries = {"max_attempts": 3, "budget": 0.2, "burst": 5, "min_per_s": 0}
    searched = group(scripted, retries=retries, cooldown={"failures": 0})
    for _ in range(200):
        await failure_of(attempts(searched))
    assert 200 < sum(calls_of(scripted)) <= 200 * 1.2 + 5


def every_second() -> Answer:
    """Refuse the first call and every second one after it."""
    calls, refuses = iter(range(10_000)), failing(AdapterErrorKind.RATE_LIMITED)

    async def answer(call: ProviderCall) -> ProviderReply:
        return await (refuses if next(calls) % 2 == 0 else by_length)(call)

    return answer


async def test_a_deployment_that_refuses_every_second_call_costs_its_steady_peers_and_no_call() -> None:
    scripted = named(a=by_length, b=every_second())
    searched = group(scripted, retries={"budget": 0.05, "burst": 10, "min_per_s": 0})
    for _ in range(400):
        assert (await attempts(searched).run()).reply.scores
    assert sum(calls_of(scripted)) > 400 * 1.2


async def test_retries_at_deployments_that_all_fail_at_times_stay_within_the_budget() -> None:
    scripted = named(a=every_second(), b=every_second())
    searched = group(scripted, retries={"budget": 0.05, "burst": 10, "min_per_s": 0})
    for _ in range(400):
        with contextlib.suppress(ServiceError):
            await attempts(searched).run()
    assert sum(calls_of(scripted)) <= 400 * 1.05 + 10


async def test_little_traffic_to_one_deployment_that_refuses_every_second_call_loses_none() -> None:
    clock = Clock()
    searched = group(named(a=every_second()), clock, retries={"burst": 1})
    for _ in range(300):
        clock.now_s += 0.2
        assert (await attempts(searched, clock=clock).run()).reply.scores


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
    assert calls_of(scripted) == [20]
    assert searched.deployments[0].in_flight == 0


async def test_a_deployment_that_is_down_is_not_waited_for_when_its_circuit_opens() -> None:
    clock = Clock()
    scripted = named(a=failing(message="connection refused"))
    searched = group(scripted, clock, cooldown={"failures": 5, "initial_s": 5.0})
    began_s = clock.now_s
    for _ in range(2):
        assert (await failure_of(attempts(searched, clock=clock))).reason is Reason.PROVIDER_UNAVAILABLE
    assert calls_of(scripted) == [5]
    assert clock.now_s - began_s < 1.0, "backoffs alone: nothing waits for the cooldown"


async def test_a_short_cooldown_is_waited_for() -> None:
    clock = Clock()
    searched = group(named(a=in_turn(failing(), by_length)), clock, cooldown={"failures": 1, "initial_s": 0.2})
    assert (await attempts(searched, clock=clock).run()).attempts == 2


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
    assert calls_of(scripted) == [1, 1]


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


@virtual_time
async def test_a_hanging_deployment_leaves_time_for_the_others() -> None:
    scripted = named(a=hanging, b=by_length)
    call = ProviderCall(model="search", query="q", documents=["a"], deadline_s=loop_time() + 0.4)
    answer = await ChunkExecutor(group(scripted, loop_time), call, clock=loop_time).run()
    assert (answer.deployment.provider.name, answer.attempts) == ("b", 2)
    assert scripted[0].cancelled == 1


async def test_the_last_deployment_gets_all_the_time_there_is() -> None:
    scripted = named(a=by_length)
    call = within(10.0)
    await attempts(group(scripted), call).run()
    assert scripted[0].calls[0].deadline_s == call.deadline_s
    await attempts(group(scripted), call, has_fallback=True).run()
    given_s = scripted[0].calls[1].deadline_s
    assert given_s is not None
    assert given_s - time.monotonic() == pytest.approx(5.0, abs=1.0)


@virtual_time
async def test_an_attempt_may_be_given_its_own_time() -> None:
    scripted = named(a=hanging, b=hanging)
    failure = await failure_of(attempts(group(scripted, attempt_timeout_s=0.02, retries={"max_attempts": 2})))
    assert failure.reason is Reason.PROVIDER_UNAVAILABLE
    assert "no reply within 0.02 s" in str(failure)
    assert [provider.cancelled for provider in scripted] == [1, 1]


async def test_a_deadline_that_has_passed_is_said_so() -> None:
    scripted = named(a=by_length)
    failure = await failure_of(attempts(group(scripted), within(-1.0)))
    assert failure.reason is Reason.DEADLINE_EXCEEDED
    assert calls_of(scripted) == [0]


# Probes.


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
    waiting = [asyncio.create_task(attempts(searched).run()) for _ in range(20)]
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
    probe = asyncio.create_task(attempts(searched).run())
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as raised:
        await attempts(searched).run()
    assert raised.value.reason is Reason.NO_HEALTHY_DEPLOYMENT
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert searched.deployments[0].in_flight == 0
