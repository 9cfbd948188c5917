"""Deferred items are handed over in order, in time and in batches."""

from __future__ import annotations

import asyncio

from rerankd.telemetry.calls.deferred import MAX_WAITING, DeferredQueue
from tests.support.waiting import settle


def queue_of(batches: list[list[int]]) -> DeferredQueue[int]:
    return DeferredQueue(batches.append)


async def test_items_are_handed_over_together_and_in_order() -> None:
    batches: list[list[int]] = []
    queue = DeferredQueue(batches.append, delay_s=0)
    for number in range(3):
        queue.add(number)
    assert batches == []
    await settle()
    assert batches == [[0, 1, 2]]


async def test_an_urgent_item_takes_all_before_it_along() -> None:
    batches: list[list[int]] = []
    queue = queue_of(batches)
    queue.add(1)
    queue.add(2, is_urgent=True)
    assert batches == [[1, 2]]


async def test_the_number_of_waiting_items_is_bounded() -> None:
    batches: list[list[int]] = []
    queue = queue_of(batches)
    for number in range(MAX_WAITING):
        assert batches == []
        queue.add(number)
    assert batches == [list(range(MAX_WAITING))]


def test_nothing_waits_outside_of_an_event_loop() -> None:
    batches: list[list[int]] = []
    queue_of(batches).add(1)
    assert batches == [[1]]


def test_items_of_an_event_loop_that_ended_are_handed_over_with_the_next() -> None:
    batches: list[list[int]] = []
    queue = queue_of(batches)

    async def end(number: int) -> None:
        queue.add(number)

    asyncio.run(end(1))
    assert batches == []
    asyncio.run(end(2))
    queue.drain()
    assert batches == [[1, 2]]


def test_event_loops_of_several_threads_lose_nothing() -> None:
    threads = 4
    batches: list[list[int]] = []
    queue = queue_of(batches)

    async def work() -> None:
        for number in range(1_000):
            queue.add(number)
            if not number % 100:
                await asyncio.sleep(0)

    async def together() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, work()) for _ in range(threads)))

    asyncio.run(together())
    queue.drain()
    assert sorted(item for batch in batches for item in batch) == sorted([*range(1_000)] * threads)
    assert not queue
