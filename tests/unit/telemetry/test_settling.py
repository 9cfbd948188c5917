"""What waits when a call has ended is done in order, in time, and whatever else fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from structlog.testing import capture_logs

from rerankd.telemetry import settling
from rerankd.telemetry.metrics import metrics
from rerankd.telemetry.settling import settle, settle_later


class Ended:
    """Calls something when it is settled."""

    def __init__(self, act: Callable[..., object], *arguments: object) -> None:
        self._act, self._arguments = act, arguments

    def settle(self) -> None:
        self._act(*self._arguments)


async def test_calls_are_settled_together_and_in_order() -> None:
    done: list[int] = []
    for number in range(3):
        settle_later(Ended(done.append, number))
    assert done == []
    await asyncio.sleep(0.2)
    assert done == [0, 1, 2]


async def test_what_is_urgent_takes_all_before_it_along() -> None:
    done: list[str] = []
    settle_later(Ended(done.append, "calm"))
    settle_later(Ended(done.append, "urgent"), is_urgent=True)
    assert done == ["calm", "urgent"]


async def test_no_more_than_128_wait() -> None:
    done: list[None] = []
    for _ in range(128):
        assert done == []
        settle_later(Ended(done.append, None))
    assert len(done) == 128


async def test_one_that_fails_is_logged_and_fails_no_other() -> None:
    done: list[None] = []

    def fail() -> None:
        raise ValueError("full")

    with capture_logs() as said:
        settle_later(Ended(fail))
        settle_later(Ended(done.append, None))
        settle()
    assert done == [None]
    assert [(line["log_level"], "could not be counted" in line["event"]) for line in said] == [("error", True)]


async def test_metrics_are_shown_with_all_that_ended_before() -> None:
    settle_later(Ended(metrics.batch_items.of("ok").inc))
    before = metrics.batch_items.of("ok")._value.get()
    metrics.render("")
    assert metrics.batch_items.of("ok")._value.get() == before + 1


def test_nothing_waits_outside_of_an_event_loop() -> None:
    done: list[None] = []
    settle_later(Ended(done.append, None))
    assert done == [None]


def test_a_loop_that_ended_leaves_nothing_behind_for_good() -> None:
    done: list[str] = []

    async def end(name: str) -> None:
        settle_later(Ended(done.append, name))

    asyncio.run(end("first"))
    assert done == []
    asyncio.run(end("second"))
    settle()
    assert done == ["first", "second"]


def test_loops_of_several_threads_lose_nothing() -> None:
    threads = 4
    done: list[int] = []

    async def work() -> None:
        for number in range(1_000):
            settle_later(Ended(done.append, number))
            if not number % 100:
                await asyncio.sleep(0)

    async def together() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, work()) for _ in range(threads)))

    asyncio.run(together())
    settle()
    assert sorted(done) == sorted([*range(1_000)] * threads)
    assert not settling._calls
