from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from rerankd.access.limits.patience import LONGEST_WAIT_S, until_silent
from tests.support.virtual_time import VirtualTimeLoop, loop_time, virtual_time

TIMEOUT_S = 0.05


async def waited_s(answered_s: Callable[[], float], timeout_s: float = TIMEOUT_S) -> float:
    """Wait for a ledger that never answers; return how long."""
    began_s = loop_time()
    with pytest.raises(TimeoutError):
        async with until_silent(timeout_s, answered_s):
            await asyncio.Event().wait()
    return loop_time() - began_s


@virtual_time
async def test_a_silent_ledger_is_waited_for_as_long_as_the_timeout() -> None:
    assert await waited_s(lambda: 0.0) == pytest.approx(TIMEOUT_S)


@virtual_time
async def test_a_ledger_that_answers_others_is_waited_for_until_it_is_silent() -> None:
    began_s = loop_time()
    assert await waited_s(lambda: min(loop_time(), began_s + 0.3)) == pytest.approx(0.3 + TIMEOUT_S, abs=TIMEOUT_S)


@virtual_time
async def test_no_call_waits_longer_than_the_longest_wait() -> None:
    assert await waited_s(loop_time) == pytest.approx(LONGEST_WAIT_S)
    assert await waited_s(loop_time, 3.0) == pytest.approx(3.0)


@virtual_time
async def test_a_busy_event_loop_is_no_silence() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    answered = loop.create_future()

    def hold_up() -> None:
        loop.pass_time(0.4)
        loop.call_soon(answered.set_result, "late")

    loop.call_later(TIMEOUT_S / 2, hold_up)
    async with until_silent(TIMEOUT_S, lambda: 0.0):
        assert await answered == "late"
