"""Limits the calls that start per iteration of the event loop, so that iterations stay short.

Otherwise an iteration would run every ready call to completion, and work that needs several iterations would starve:
grpc.aio needs three to accept one call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

STARTS_PER_ITERATION: Final = 2
"""An iteration costs about 2 % of a call."""


class StartPacer:
    """Starts calls first in, first out, a limited number per iteration. For one event loop.

    Args:
        starts: Calls started per iteration, at least 1.
    """

    def __init__(self, starts: int = STARTS_PER_ITERATION) -> None:
        self._starts = starts
        self._left = starts
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def try_start(self) -> bool:
        """Start a call in this iteration; `False` if it has to `wait`."""
        if not self._left or self._waiting:
            return False
        self._left -= 1
        if not self._is_scheduled:
            self._schedule()
        return True

    async def wait(self) -> None:
        """Wait for an iteration that may start another call."""
        loop = self._loop = self._loop or asyncio.get_running_loop()  # get_running_loop costs a system call
        started = loop.create_future()
        self._waiting.append(started)
        if not self._is_scheduled:
            self._schedule()
        await started

    def _schedule(self) -> None:
        self._is_scheduled = True
        self._loop = self._loop or asyncio.get_running_loop()  # get_running_loop costs a system call
        self._loop.call_soon(self._iterate)

    def _iterate(self) -> None:
        self._left, self._is_scheduled = self._starts, False
        while self._left and self._waiting:
            started = self._waiting.popleft()
            if not started.done():  # done: the call was cancelled
                started.set_result(None)
                self._left -= 1
        if self._left < self._starts:
            self._schedule()
