"""How long a call waits for a ledger that it shares: until the ledger is silent, not until this machine is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

LONGEST_WAIT_S: Final = 1.0
"""Longest wait of a call for a ledger that goes on answering others, in seconds, unless the timeout is longer."""
_LATE: Final = 0.2
"""A timer that fires later than this share of the timeout shows that the event loop was busy, not the ledger silent."""


@asynccontextmanager
async def until_silent(timeout_s: float, answered_s: Callable[[], float]) -> AsyncIterator[None]:
    """Run the body until nobody has had an answer for `timeout_s`, or for `LONGEST_WAIT_S`.

    A burst makes calls wait for each other and for the processor; ended then, they would not be counted.

    Args:
        timeout_s: Longest silence.
        answered_s: Returns when the ledger answered anybody last, a `time.monotonic()`.

    Raises:
        TimeoutError: The body was ended.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + max(timeout_s, LONGEST_WAIT_S)
    async with asyncio.timeout(None) as limit:
        look = _Look(loop, limit, timeout_s, end_s, answered_s)
        try:
            yield
        finally:
            look.timer.cancel()


class _Look:
    """Looks after the timeout, and whenever the ledger could be silent since then, whether it is."""

    __slots__ = ("_answered_s", "_end_s", "_limit", "_loop", "_timeout_s", "timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: asyncio.Timeout,
        timeout_s: float,
        end_s: float,
        answered_s: Callable[[], float],
    ) -> None:
        self._loop, self._limit = loop, limit
        self._timeout_s, self._end_s, self._answered_s = timeout_s, end_s, answered_s
        self._look_at(loop.time() + timeout_s)

    def _look_at(self, due_s: float) -> None:
        self.timer = self._loop.call_at(due_s, self._look, due_s)

    def _look(self, due_s: float) -> None:
        now_s = self._loop.time()
        is_late = now_s - due_s > _LATE * self._timeout_s
        silent_at_s = min((now_s if is_late else self._answered_s()) + self._timeout_s, self._end_s)
        if silent_at_s <= now_s:
            self._limit.reschedule(now_s)
        else:
            self._look_at(silent_at_s)
