"""CircuitBreaker: open, half-open and closed."""

import asyncio

import pytest

from rerankd.engine.routing.circuit_breaker import CircuitBreaker
from rerankd.engine.routing.settings import CircuitBreakerSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind
from tests.support.engines import Clock

DOWN = AdapterError(AdapterErrorKind.UNAVAILABLE, "down")


def cooldown(clock: Clock, **options: float) -> CircuitBreaker:
    given = {"failures": 3, "initial_s": 4.0, "max_s": 10.0} | options
    return CircuitBreaker(CircuitBreakerSettings(**given), clock, jitter=lambda: 0.5)  # type: ignore[arg-type]  # bound now


def asked(retry_after_s: float) -> AdapterError:
    return AdapterError(AdapterErrorKind.RATE_LIMITED, "slow down", retry_after_s=retry_after_s)


def test_only_failures_in_a_row_start_one() -> None:
    health = cooldown(Clock())
    for _ in range(2):
        assert not health.fail(DOWN)
    health.succeed()
    assert [health.fail(DOWN) for _ in range(3)] == [False, False, True]
    assert health.is_open


def test_zero_failures_never_start_one() -> None:
    health = cooldown(Clock(), failures=0)
    assert not any(health.fail(asked(60.0)) for _ in range(50))
    assert not health.is_open


def test_one_call_probes_and_its_failures_double_the_time_up_to_the_longest() -> None:
    clock = Clock()
    health = cooldown(clock, failures=1)
    health.fail(DOWN)
    lengths = []
    for _ in range(4):
        lengths.append(health.remaining_s)
        clock.now_s += health.remaining_s - 0.001
        seen = [health.is_open]
        clock.now_s += 0.002
        seen += [health.is_open, health.begin(), health.is_open, health.begin()]
        assert seen == [True, False, True, True, False]
        health.fail(DOWN, is_probe=True)
    assert lengths == pytest.approx([4.0, 8.0, 10.0, 10.0])
    clock.now_s += 11
    assert health.begin()
    health.succeed()
    assert not health.is_tripped
    assert not health.fail(DOWN) or health.remaining_s == pytest.approx(4.0)


def test_calls_from_before_neither_prolong_it_nor_end_its_probe() -> None:
    clock = Clock()
    health = cooldown(clock, failures=1)
    health.fail(DOWN)
    clock.now_s += 1
    assert not health.fail(DOWN)
    assert health.remaining_s == pytest.approx(3.0)
    clock.now_s += 4
    assert health.begin()
    health.fail(DOWN)
    health.abandon()
    assert health.is_open
    assert health.is_half_open
    health.abandon(is_probe=True)
    assert not health.is_open


def test_a_call_chosen_just_before_the_cooldown_is_no_probe() -> None:
    health = cooldown(Clock(), failures=1)
    health.fail(DOWN)
    assert not health.begin()


@pytest.mark.parametrize(("asked_s", "remaining_s"), [(2.5, 2.5), (0.0, 0.05), (9_999.0, 10.0)])
def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(asked_s: float, remaining_s: float) -> None:
    health = cooldown(Clock())
    assert health.fail(asked(asked_s))
    assert health.remaining_s == pytest.approx(remaining_s)


async def test_waiting_for_the_probe() -> None:
    clock = Clock()
    health = cooldown(clock, failures=1)
    await health.wait_for_probe()
    health.fail(DOWN)
    clock.now_s += 5
    health.begin()
    waits = [asyncio.create_task(health.wait_for_probe()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    health.succeed()
    await asyncio.gather(*waits)
    assert not health.is_open
