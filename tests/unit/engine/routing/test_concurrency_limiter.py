"""ConcurrencyLimiter: order, shedding, and cancellation of queued calls."""

import asyncio
import random

import pytest

from rerankd.engine.routing.concurrency_limiter import ConcurrencyLimiter, QueueFullError
from tests.support.waiting import settle


async def test_without_a_limit_everyone_gets_a_place() -> None:
    limiter = ConcurrencyLimiter(None, 0)
    await asyncio.gather(*(limiter.acquire(0) for _ in range(100)))
    assert (limiter.in_flight, limiter.queued) == (100, 0)


async def test_lower_priority_numbers_first_then_age() -> None:
    limiter = ConcurrencyLimiter(1, 10)
    await limiter.acquire(0)
    served: list[str] = []

    async def wait(name: str, priority: int) -> None:
        await limiter.acquire(priority)
        served.append(name)
        limiter.release()

    tasks = []
    for name, priority in (("late", 5), ("early", 1), ("later", 5), ("first", 0)):
        tasks.append(asyncio.create_task(wait(name, priority)))
        await settle()
    limiter.release()
    await asyncio.gather(*tasks)
    assert served == ["first", "early", "late", "later"]
    assert (limiter.in_flight, limiter.queued) == (0, 0)


async def test_the_youngest_of_the_least_urgent_is_shed_for_one_more_urgent() -> None:
    limiter = ConcurrencyLimiter(1, 2)
    await limiter.acquire(0)
    old, young = asyncio.create_task(limiter.acquire(7)), asyncio.create_task(limiter.acquire(7))
    await settle()
    assert limiter.refuses(7)
    assert not limiter.refuses(6)
    urgent = asyncio.create_task(limiter.acquire(6))
    with pytest.raises(QueueFullError):
        await young
    with pytest.raises(QueueFullError):
        await limiter.acquire(7)
    for task in (urgent, old):
        limiter.release()
        await task
    limiter.release()
    assert (limiter.in_flight, limiter.queued) == (0, 0)


async def test_without_a_queue_the_next_is_refused_whatever_its_priority() -> None:
    limiter = ConcurrencyLimiter(1, 0)
    await limiter.acquire(500)
    assert limiter.refuses(0)
    with pytest.raises(QueueFullError):
        await limiter.acquire(0)
    limiter.release()
    assert limiter.in_flight == 0


async def test_a_place_given_to_a_cancelled_waiter_goes_on() -> None:
    limiter = ConcurrencyLimiter(1, 5)
    await limiter.acquire(0)
    cancelled, next_ = asyncio.create_task(limiter.acquire(0)), asyncio.create_task(limiter.acquire(0))
    await settle()
    limiter.release()
    cancelled.cancel()
    await next_
    assert (limiter.in_flight, limiter.queued) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_shed_waiter_that_is_cancelled_at_once_leaves_no_trace() -> None:
    limiter = ConcurrencyLimiter(1, 1)
    await limiter.acquire(0)
    shed = asyncio.create_task(limiter.acquire(5))
    await settle()
    urgent = asyncio.create_task(limiter.acquire(1))
    await asyncio.sleep(0)
    shed.cancel()
    await asyncio.gather(shed, return_exceptions=True)
    limiter.release()
    await urgent
    limiter.release()
    assert (limiter.in_flight, limiter.queued) == (0, 0)


@pytest.mark.parametrize("seed", range(30))
async def test_a_storm_of_cancellations_loses_no_place(seed: int) -> None:
    chance = random.Random(seed)
    limiter = ConcurrencyLimiter(chance.randint(1, 3), chance.randint(0, 4))
    most = 0

    async def call() -> None:
        nonlocal most
        try:
            await limiter.acquire(chance.randint(0, 3))
        except QueueFullError:
            return
        try:
            most = max(most, limiter.in_flight)
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
        finally:
            limiter.release()

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(call()))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limiter.in_flight, limiter.queued) == (0, 0)
    assert most <= (limiter.limit or 0)
