"""Places: order, shedding, and that no way out of the queue loses one."""

import asyncio
import random

import pytest

from rerankd.engine.routing.concurrency_limiter import Places, QueueFullError


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_a_limit_everyone_gets_a_place() -> None:
    places = Places(None, 0)
    await asyncio.gather(*(places.take(0) for _ in range(100)))
    assert (places.taken, places.waiting) == (100, 0)


async def test_lower_priority_numbers_first_then_age() -> None:
    places = Places(1, 10)
    await places.take(0)
    served: list[str] = []

    async def wait(name: str, priority: int) -> None:
        await places.take(priority)
        served.append(name)
        places.give_back()

    tasks = []
    for name, priority in (("late", 5), ("early", 1), ("later", 5), ("first", 0)):
        tasks.append(asyncio.create_task(wait(name, priority)))
        await settle()
    places.give_back()
    await asyncio.gather(*tasks)
    assert served == ["first", "early", "late", "later"]
    assert (places.taken, places.waiting) == (0, 0)


async def test_the_youngest_of_the_least_urgent_is_shed_for_one_more_urgent() -> None:
    places = Places(1, 2)
    await places.take(0)
    old, young = asyncio.create_task(places.take(7)), asyncio.create_task(places.take(7))
    await settle()
    assert places.refuses(7)
    assert not places.refuses(6)
    urgent = asyncio.create_task(places.take(6))
    with pytest.raises(QueueFullError):
        await young
    with pytest.raises(QueueFullError):
        await places.take(7)
    for task in (urgent, old):
        places.give_back()
        await task
    places.give_back()
    assert (places.taken, places.waiting) == (0, 0)


async def test_without_a_queue_the_next_is_refused_whatever_its_priority() -> None:
    places = Places(1, 0)
    await places.take(500)
    assert places.refuses(0)
    with pytest.raises(QueueFullError):
        await places.take(0)
    places.give_back()
    assert places.taken == 0


async def test_a_place_given_to_a_cancelled_waiter_goes_on() -> None:
    places = Places(1, 5)
    await places.take(0)
    cancelled, next_ = asyncio.create_task(places.take(0)), asyncio.create_task(places.take(0))
    await settle()
    places.give_back()
    cancelled.cancel()
    await next_
    assert (places.taken, places.waiting) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_shed_waiter_that_is_cancelled_at_once_leaves_no_trace() -> None:
    places = Places(1, 1)
    await places.take(0)
    shed = asyncio.create_task(places.take(5))
    await settle()
    urgent = asyncio.create_task(places.take(1))
    await asyncio.sleep(0)
    shed.cancel()
    await asyncio.gather(shed, return_exceptions=True)
    places.give_back()
    await urgent
    places.give_back()
    assert (places.taken, places.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(30))
async def test_a_storm_of_cancellations_loses_no_place(seed: int) -> None:
    chance = random.Random(seed)
    places = Places(chance.randint(1, 3), chance.randint(0, 4))
    most = 0

    async def call() -> None:
        nonlocal most
        try:
            await places.take(chance.randint(0, 3))
        except QueueFullError:
            return
        try:
            most = max(most, places.taken)
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
        finally:
            places.give_back()

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(call()))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (places.taken, places.waiting) == (0, 0)
    assert most <= (places.most or 0)
