"""The time for which work on one request may hold the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_SLICE_S: Final = 0.001


class TimeSlice:
    """A millisecond of the event loop, renewed by `rest`. For the task that makes it."""

    __slots__ = ("_due_s",)

    def __init__(self) -> None:
        self._due_s = time.perf_counter() + _SLICE_S

    def is_over(self) -> bool:
        """Whether other tasks should have their turn."""
        return time.perf_counter() > self._due_s

    async def rest(self) -> None:
        """Give other tasks their turn, and start a new slice."""
        await asyncio.sleep(0)
        self._due_s = time.perf_counter() + _SLICE_S
