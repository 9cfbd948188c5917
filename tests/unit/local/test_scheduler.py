from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from rerankd.local.scheduler import PoolClosedError, Ticket, WorkPool
from tests.support.waiting import settle, until


class _Gate:
    """Work that waits for permission, unit by unit, takes 10 ms of the gate's own time, and notes who ran."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._permits = threading.Semaphore(0)
        self._done = 0

    def work(self, name: str) -> Callable[[int], str]:
        def run(unit: int) -> str:
            self.log.append(name)
            assert self._permits.acquire(timeout=10)
            self._done += 1
            return f"{name}{unit}"

        return run

    def now_s(self) -> float:
        return self._done / 100

    def pass_time(self, hundredths: int) -> None:
        self._done += hundredths

    def let(self, count: int) -> None:
        self._permits.release(count)


async def test_results_come_in_order_of_the_units() -> None:
    pool = WorkPool(3)
    assert await pool.run(lambda unit: unit * unit, 50, Ticket()) == [unit * unit for unit in range(50)]
    assert await pool.run(lambda unit: unit, 0, Ticket()) == []
    await pool.close()


async def test_a_small_call_is_not_stuck_behind_a_large_one() -> None:
    gate = _Gate()
    pool = WorkPool(1, clock=gate.now_s)
    large = asyncio.create_task(pool.run(gate.work("large"), 1000, Ticket()))
    await until(lambda: gate.log)
    gate.let(20)
    await until(lambda: len(gate.log) == 21)
    small = asyncio.create_task(pool.run(gate.work("small"), 4, Ticket()))
    await until(lambda: pool.queued_units() > 979)
    while not small.done():
        gate.let(1)
        await asyncio.sleep(0.002)
    since = gate.log[21:]
    last = len(since) - 1 - since[::-1].index("small")
    assert since[: last + 1].count("large") <= 2
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    gate.let(10)
    await pool.close()


async def test_small_calls_do_not_starve_the_oldest() -> None:
    gate = _Gate()
    pool = WorkPool(1, clock=gate.now_s)
    tasks = [asyncio.create_task(pool.run(gate.work("old"), 100, Ticket()))]
    await until(lambda: gate.log)
    tasks += [asyncio.create_task(pool.run(gate.work("new"), 2, Ticket())) for _ in range(100)]
    await until(lambda: pool.queued_units() == 299)
    gate.let(160)
    await until(lambda: len(gate.log) == 161)
    assert gate.log[-100:].count("old") == 25
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.let(10)
    await pool.close()


async def test_a_call_that_had_its_share_lets_small_ones_go_first() -> None:
    gate = _Gate()
    pool = WorkPool(1, clock=gate.now_s)
    tasks = [asyncio.create_task(pool.run(gate.work("old"), 200, Ticket()))]
    gate.let(100)
    await until(lambda: len(gate.log) == 101)
    tasks += [asyncio.create_task(pool.run(gate.work("new"), 4, Ticket())) for _ in range(10)]
    await until(lambda: pool.queued_units() == 99 + 40)
    gate.let(41)
    await until(lambda: len(gate.log) == 142)
    assert gate.log[101:141] == ["new"] * 40
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.let(10)
    await pool.close()


async def test_calls_share_the_workers_by_time_not_by_units() -> None:
    gate = _Gate()
    pool = WorkPool(1, clock=gate.now_s)

    def run_long(unit: int) -> None:
        gate.work("long")(unit)
        gate.pass_time(9)

    tasks = [
        asyncio.create_task(pool.run(run_long, 100, Ticket())),
        asyncio.create_task(pool.run(gate.work("short"), 400, Ticket())),
    ]
    await until(lambda: gate.log and pool.queued_units() == 499)
    gate.let(220)
    await until(lambda: len(gate.log) == 221)
    assert gate.log.count("long") == pytest.approx(20, abs=2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.let(10)
    await pool.close()


async def test_lower_priority_numbers_go_first_among_equals() -> None:
    pool, gate = WorkPool(1), _Gate()
    tasks = [asyncio.create_task(pool.run(gate.work("first"), 1, Ticket()))]
    await until(lambda: gate.log)
    tasks.append(asyncio.create_task(pool.run(gate.work("late"), 1, Ticket(priority=9))))
    tasks.append(asyncio.create_task(pool.run(gate.work("soon"), 1, Ticket(priority=1))))
    await until(lambda: pool.queued_units() == 2)
    gate.let(3)
    await asyncio.gather(*tasks)
    assert gate.log == ["first", "soon", "late"]
    await pool.close()


async def test_cancelling_drops_what_is_queued() -> None:
    pool, gate = WorkPool(2), _Gate()
    task = asyncio.create_task(pool.run(gate.work("x"), 100, Ticket()))
    await until(lambda: len(gate.log) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.queued_units() == 0
    assert pool.load() == 0
    gate.let(10)
    assert await pool.run(lambda unit: unit, 2, Ticket()) == [0, 1]
    assert gate.log == ["x", "x"]
    await pool.close()


async def test_the_first_error_ends_the_job() -> None:
    pool = WorkPool(1)
    ran = []

    def fail(unit: int) -> None:
        ran.append(unit)
        raise LookupError(unit)

    with pytest.raises(LookupError):
        await pool.run(fail, 10, Ticket())
    assert ran == [0]
    await pool.close()


async def test_a_rule_may_leave_out_the_rest() -> None:
    pool = WorkPool(2)
    assert await pool.run(lambda unit: unit, 5, Ticket(), starts=lambda unit: unit < 3) == [0, 1, 2, None, None]
    assert await pool.run(lambda unit: unit, 2, Ticket(), starts=lambda unit: False) == [None, None]
    await pool.close()


async def test_stop_leaves_out_what_has_not_begun_and_abandon_does_not_wait() -> None:
    pool, gate = WorkPool(1), _Gate()
    now_s = time.monotonic()
    results = await pool.run(gate.work("x"), 5, Ticket(), stop_s=now_s + 0.02, abandon_s=now_s + 0.05)
    assert results == [None] * 5
    assert pool.queued_units() == 0
    gate.let(1)
    await pool.close()


async def test_background_work_waits_for_everything_else_and_takes_one_worker() -> None:
    pool, gate = WorkPool(2), _Gate()
    background = asyncio.create_task(pool.run(gate.work("back"), 3, Ticket(is_background=True)))
    await until(lambda: gate.log == ["back"])
    await settle()
    assert gate.log == ["back"]
    front = asyncio.create_task(pool.run(gate.work("front"), 2, Ticket()))
    await until(lambda: gate.log == ["back", "front"])
    assert pool.load() == 1
    gate.let(5)
    await asyncio.gather(background, front)
    assert sorted(gate.log) == ["back"] * 3 + ["front"] * 2
    await pool.close()


async def test_closing_ends_calls_under_way_and_refuses_new_ones() -> None:
    pool, gate = WorkPool(1), _Gate()
    task = asyncio.create_task(pool.run(gate.work("x"), 5, Ticket()))
    await until(lambda: gate.log)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(PoolClosedError):
        await task
    gate.let(1)
    await closing
    assert gate.log == ["x"]
    with pytest.raises(PoolClosedError):
        await pool.run(lambda unit: unit, 1, Ticket())
