"""Deployment: limits, circuit breaker and latency statistics."""

import asyncio

import pytest

from rerankd.engine.routing.concurrency_limiter import QueueFullError
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.settings import CircuitBreakerSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import Clock, cools, deployment, failing, hanging, is_quiet
from tests.support.providers import ScriptedProvider

CALL = ProviderCall(model="theirs", query="q", documents=["a", "bb"])
ONCE = CircuitBreakerSettings(failures=1)


async def outcome(each: Deployment, timeout_s: float | None = None) -> str:
    try:
        await each.call(CALL, 0, timeout_s)
    except (AdapterError, QueueFullError) as failure:
        return str(failure)
    return "answered"


async def test_the_provider_sees_its_own_name_of_the_model_and_the_deadline() -> None:
    provider = ScriptedProvider()
    await deployment(provider).call(CALL, 0, 5.0)
    assert provider.calls[0].model == "model"
    assert provider.calls[0].deadline_s is not None
    assert CALL.deadline_s is None


@pytest.mark.parametrize(
    ("indices", "scores"),
    [([0], [1.0]), ([0, 0], [1.0, 2.0]), ([0, 2], [1.0, 2.0]), ([-1, 0], [1.0, 2.0]), ([0, 1], [1.0, float("nan")])],
)
@pytest.mark.parametrize("is_alone", [True, False])
async def test_a_lie_is_a_failure_that_counts_where_others_could_answer(
    indices: list[int], scores: list[float], is_alone: bool
) -> None:
    async def lie(_call: ProviderCall) -> ProviderReply:
        return ProviderReply(indices=indices, scores=scores)

    each = deployment(ScriptedProvider(model=lie), cooldown=ONCE, is_alone=is_alone)
    assert "invalid reply" in await outcome(each)
    assert cools(each) is not is_alone
    assert each.in_flight == 0


@pytest.mark.parametrize(
    ("kind", "is_cooling_alone", "is_cooling_beside_others"),
    [
        (AdapterErrorKind.UNAVAILABLE, True, True),
        (AdapterErrorKind.RATE_LIMITED, True, True),
        (AdapterErrorKind.BAD_RESPONSE, False, True),
        (AdapterErrorKind.CREDENTIALS, False, True),
        (AdapterErrorKind.REJECTED, False, False),
        (AdapterErrorKind.UNSUPPORTED, False, False),
    ],
)
async def test_which_failures_count(
    kind: AdapterErrorKind, is_cooling_alone: bool, is_cooling_beside_others: bool
) -> None:
    for is_alone, is_open in ((True, is_cooling_alone), (False, is_cooling_beside_others)):
        each = deployment(ScriptedProvider(model=failing(kind)), cooldown=ONCE, is_alone=is_alone)
        await outcome(each)
        assert cools(each) is is_open


async def test_a_provider_that_rejects_a_request_is_alive() -> None:
    clock = Clock()
    provider = ScriptedProvider(model=failing())
    each = deployment(provider, clock, cooldown=ONCE)
    await outcome(each)
    clock.now_s += 100
    provider._answers["model"] = failing(AdapterErrorKind.REJECTED, "too long", status=400)
    await outcome(each)
    assert not each.breaker.is_tripped


async def test_requests_waiting_for_a_place_have_used_their_rate() -> None:
    release = asyncio.Event()

    async def answer(call: ProviderCall) -> ProviderReply:
        await release.wait()
        return ProviderReply(indices=range(2), scores=[1.0, 2.0])

    each = deployment(ScriptedProvider(model=answer), max_concurrent=1, requests_per_minute=3, tokens_per_minute=30)
    tasks = [asyncio.create_task(each.call(CALL, 10, None)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (each.in_flight, each.utilisation) == (3, 1.0)
    assert each.rate_wait_s(10) > 0
    tasks[2].cancel()
    await asyncio.sleep(0)
    assert each.utilisation == pytest.approx(2 / 3)
    assert each.rate_wait_s(10) == 0.0
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert each.in_flight == 0


async def test_a_refused_call_uses_no_rate() -> None:
    each = deployment(ScriptedProvider(model=hanging), max_concurrent=1, max_queued=0, requests_per_minute=10)
    first = asyncio.create_task(each.call(CALL, 0, None))
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await each.call(CALL, 0, None)
    assert each.utilisation == pytest.approx(0.1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert each.in_flight == 0


async def test_time_in_our_own_queue_is_not_the_providers_fault() -> None:
    clock = Clock()
    each = deployment(ScriptedProvider(model=hanging), clock, cooldown=ONCE, max_concurrent=1)
    first, second = (asyncio.create_task(each.call(CALL, 0, None)) for _ in range(2))
    await asyncio.sleep(0)
    clock.now_s += 30
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert not cools(each)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert cools(each)
    assert each.in_flight == 0


@pytest.mark.parametrize(("given_up_after_s", "counts"), [(0.05, False), (0.15, True), (5.0, True)])
async def test_a_call_given_up_counts_once_it_took_longer_than_usual(given_up_after_s: float, counts: bool) -> None:
    clock = Clock()
    for is_alone in (True, False):
        each = deployment(ScriptedProvider(model=hanging), clock, cooldown=ONCE, is_alone=is_alone)
        for _ in range(20):
            each.latency.observe(0.1)
        task = asyncio.create_task(each.call(CALL, 0, None))
        await asyncio.sleep(0)
        clock.now_s += given_up_after_s
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert cools(each) is (counts and not is_alone)


async def test_a_cancelled_probe_lets_the_next_call_probe() -> None:
    clock = Clock()
    provider = ScriptedProvider(model=failing())
    each = deployment(provider, clock, cooldown=ONCE, is_alone=True)
    await outcome(each)
    provider._answers["model"] = hanging
    clock.now_s += 100
    probe = asyncio.create_task(each.call(CALL, 0, None))
    await asyncio.sleep(0)
    assert cools(each)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert not cools(each)
    assert each.breaker.is_tripped


async def test_the_last_healthy_one_is_not_left_alone_for_being_slow() -> None:
    clock = Clock()
    each = deployment(ScriptedProvider(model=hanging), clock, cooldown=ONCE)
    (peer,) = each.peers

    async def give_up() -> None:
        task = asyncio.create_task(each.call(CALL, 0, None))
        await asyncio.sleep(0)
        clock.now_s += 5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(5):
        peer.breaker.fail(AdapterError(AdapterErrorKind.UNAVAILABLE, "down"))
    await give_up()
    assert not cools(each)
    peer.breaker.succeed()
    await give_up()
    assert cools(each)


async def test_a_deployment_is_quiet_while_it_answers_none_of_its_calls() -> None:
    clock = Clock()
    each = deployment(ScriptedProvider(model=hanging), clock)
    for _ in range(20):
        each.latency.observe(0.1)
    clock.now_s += 60
    assert not is_quiet(each)
    first = asyncio.create_task(each.call(CALL, 0, None))
    await asyncio.sleep(0)
    clock.now_s += 0.15
    second = asyncio.create_task(each.call(CALL, 0, None))
    await asyncio.sleep(0)
    assert not is_quiet(each)
    clock.now_s += 0.1
    assert is_quiet(each)
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert not is_quiet(each)


async def test_a_deployment_that_never_answered_is_quiet_by_what_its_peers_need() -> None:
    clock = Clock()
    each = deployment(ScriptedProvider(model=hanging), clock)
    call = asyncio.create_task(each.call(CALL, 0, None))
    await asyncio.sleep(0)
    clock.now_s += 0.5
    assert not is_quiet(each)
    for _ in range(20):
        each.peers[0].latency.observe(0.1)
    assert is_quiet(each)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
