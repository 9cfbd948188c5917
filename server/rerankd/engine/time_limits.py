"""Time limits of calls that nearly always end long before them, all served by one timer.

A timer for each call costs more system calls than all else the engine does for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Self


class TimeLimit:
    """Context manager that ends the work within after a time, by `TimeoutError`. Used once.

    Args:
        limits: Have the timer.
        seconds: The limit; it begins when the work does.
        may_end: Called when the limit has passed: whether the work ends. If not, it is asked again after the same time.
            Default: it ends.
    """

    __slots__ = ("_cancelling", "_limits", "_task", "ends_s", "has_ended", "may_end", "seconds")

    def __init__(self, limits: TimeLimits, seconds: float, may_end: Callable[[], bool] | None = None) -> None:
        self._limits = limits
        self.seconds = seconds
        self.may_end = may_end
        self.has_ended = False
        """Whether the limit ended the work."""

    def __enter__(self) -> Self:
        limits = self._limits
        loop = limits.loop or limits.find_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - what awaits runs in a task
        self._task: asyncio.Task[object] | None = task
        self._cancelling = task.cancelling()
        self.ends_s = ends_s = loop.time() + self.seconds
        """By the clock of the loop."""
        limits.running[self] = None
        if ends_s < limits.fires_s:
            limits.set_timer(ends_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del self._limits.running[self]
        task, self._task = self._task, None
        if self.has_ended and task is not None:
            is_only_ours = task.uncancel() <= self._cancelling
            if is_only_ours and kind is asyncio.CancelledError:
                raise TimeoutError from None

    def pass_by(self, now_s: float) -> None:
        """End the work if it may end, else wait as long again."""
        if self.may_end is not None and not self.may_end():
            self.ends_s = now_s + self.seconds
        elif self._task is not None:
            self.has_ended = True
            self._task.cancel()


class TimeLimits:
    """Makes limits that share a timer. For one event loop."""

    def __init__(self) -> None:
        self.running: dict[TimeLimit, None] = {}
        """Limits of work under way, in the order in which they began."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """Known once it was needed: `get_running_loop` costs a system call."""
        self.fires_s = math.inf
        """When the timer fires, by the clock of the loop; infinite while there is none."""
        self._timer: asyncio.TimerHandle | None = None

    def of(self, seconds: float, may_end: Callable[[], bool] | None = None) -> TimeLimit:
        """Make a limit; the arguments are those of `TimeLimit`."""
        return TimeLimit(self, seconds, may_end)

    def find_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, and know it from now on."""
        self.loop = loop = asyncio.get_running_loop()
        return loop

    def set_timer(self, at_s: float) -> None:
        """Set the timer to a time by the clock of the loop, which must be known."""
        if self._timer is not None:
            self._timer.cancel()
        self.fires_s = at_s
        # In a context of its own: the timer outlives the call that sets it, and would hold that call's record.
        self._timer = (self.loop or self.find_loop()).call_at(at_s, self._fire, context=Context())

    def _fire(self) -> None:
        """End what is overdue, and set the timer to the next limit."""
        self._timer = None
        self.fires_s = math.inf
        now_s = (self.loop or self.find_loop()).time()
        running = [limit for limit in self.running if not limit.has_ended]
        for limit in running:
            if limit.ends_s <= now_s:
                limit.pass_by(now_s)
        next_s = min((limit.ends_s for limit in running if not limit.has_ended), default=math.inf)
        if next_s < math.inf:
            self.set_timer(next_s)
