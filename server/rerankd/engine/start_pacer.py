"""A few calls begin in each turn of the event loop, so that its turns stay short.

A turn in which every waiting call ran from end to end would last as long as all of them together, and whatever takes
several turns would starve meanwhile: grpc.aio takes three to accept one call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

STARTS_PER_TURN: Final = 2
"""Calls that begin in one turn; a turn by itself costs a fiftieth of a call."""


class Turns:
    """Spreads the beginnings of calls over turns of the event loop, first come, first served. For one event loop."""

    def __init__(self, most: int = STARTS_PER_TURN) -> None:
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_turning = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> bool:
        """Begin a call in this turn; `False` when it has to `wait`."""
        if not self._left or self._waiting:
            return False
        self._left -= 1
        if not self._is_turning:
            self._turn_later()
        return True

    async def wait(self) -> None:
        """Begin a call in the first turn there is room in."""
        begun = asyncio.get_running_loop().create_future()
        self._waiting.append(begun)
        if not self._is_turning:
            self._turn_later()
        await begun

    def _turn_later(self) -> None:
        self._is_turning = True
        self._loop = self._loop or asyncio.get_running_loop()  # which costs a system call
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._left, self._is_turning = self._most, False
        while self._left and self._waiting:
            begun = self._waiting.popleft()
            if not begun.done():  # else its caller has gone
                begun.set_result(None)
                self._left -= 1
        if self._left < self._most:
            self._turn_later()
