"""TimeLimits: one timer ends all work that takes too long, in virtual time."""

import asyncio

import pytest

from rerankd.engine.time_limits import TimeLimits
from tests.support.virtual_time import loop_time, virtual_time


async def end_of(limits: TimeLimits, starts_s: float, limit_s: float, takes_s: float) -> tuple[str, float]:
    """Return how and when a piece of work ended, in seconds after the start of the test."""
    await asyncio.sleep(starts_s)
    try:
        with limits.of(limit_s):
            await asyncio.sleep(takes_s)
    except TimeoutError:
        return "over", loop_time() - 1000.0
    return "done", loop_time() - 1000.0


@virtual_time
async def test_each_piece_of_work_has_its_own_time() -> None:
    limits = TimeLimits()
    works = ((0, 10, 4), (1, 10, 20), (1, 10, 9), (5, 10, 9.5), (5, 10, 60), (6, 2, 60), (6, 60, 50), (99, 10, 11))
    ends = await asyncio.gather(*(end_of(limits, *work) for work in works))
    assert [name for name, _ in ends] == ["done", "over", "done", "done", "over", "over", "done", "over"]
    assert [at_s for _, at_s in ends] == pytest.approx([4.0, 11.0, 10.0, 14.5, 15.0, 8.0, 56.0, 109.0])
    assert not limits.running


@virtual_time
async def test_work_goes_on_while_it_may_not_end() -> None:
    limits, answers = TimeLimits(), [False, False, True]
    with pytest.raises(TimeoutError), limits.of(2.0, lambda: answers.pop(0)) as limit:
        await asyncio.sleep(60.0)
    assert (limit.has_ended, answers, loop_time()) == (True, [], 1006.0)


@virtual_time
async def test_work_cancelled_by_others_stays_cancelled() -> None:
    limits = TimeLimits()
    for cancelled_after_s in (3.0, 10.0):
        task = asyncio.create_task(end_of(limits, 0.0, 10.0, 60.0))
        await asyncio.sleep(cancelled_after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not limits.running


@virtual_time
async def test_a_task_goes_on_after_work_that_took_too_long() -> None:
    limits = TimeLimits()
    for _ in range(2):
        with pytest.raises(TimeoutError), limits.of(1.0):
            await asyncio.sleep(5.0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(1.0)


@virtual_time
async def test_an_error_of_the_work_is_its_own() -> None:
    limits = TimeLimits()
    with pytest.raises(ValueError, match="said no"), limits.of(1.0):
        raise ValueError("said no")
    assert not limits.running
