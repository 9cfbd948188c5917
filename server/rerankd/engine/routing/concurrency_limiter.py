"""How many calls one deployment takes at once; the others wait by priority, then by age."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class QueueFullError(Exception):
    """Every place is taken and as many calls wait as may."""


class Places:
    """Places for calls under way. For one event loop.

    Args:
        most: Calls under way at once; `None` for any number.
        most_waiting: Calls that may wait for a place.
    """

    def __init__(self, most: int | None, most_waiting: int) -> None:
        self.most = most
        """Calls under way at once; `None` for any number."""
        self._most_waiting = most_waiting
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self.taken = 0
        """Calls under way."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return len(self._waiting)

    def refuses(self, priority: int) -> bool:
        """Whether a further call of `priority` would be refused."""
        if self.most is None or self.taken < self.most or len(self._waiting) < self._most_waiting:
            return False
        return not self._waiting or max(self._waiting)[0] <= priority

    def take_free(self) -> bool:
        """Take a place that is free; `False` when there is none."""
        if self.most is None or self.taken < self.most:
            self.taken += 1
            return True
        return False

    async def take(self, priority: int) -> None:
        """Take a place, waiting for it if need be; cancelling gives up the wait.

        Args:
            priority: 0 to 999; lower is served first, and the highest is shed first.

        Raises:
            QueueFullError: When there is none and too many wait already.
        """
        if self.take_free():
            return
        if self.refuses(priority):
            raise QueueFullError
        if len(self._waiting) >= self._most_waiting:
            self._shed()
        ready = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._arrivals), ready)
        heapq.heappush(self._waiting, entry)
        try:
            await ready
        except BaseException:
            if ready.done() and not ready.cancelled() and ready.exception() is None:
                self.give_back()
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def give_back(self) -> None:
        """Give up a place; it goes to the call that waits first."""
        while self._waiting:
            ready = heapq.heappop(self._waiting)[2]
            if not ready.done():
                ready.set_result(None)
                return
        self.taken -= 1

    def _shed(self) -> None:
        """Refuse the waiting call of the highest priority number, the youngest among equals."""
        last = max(self._waiting)
        self._waiting.remove(last)
        heapq.heapify(self._waiting)
        if not last[2].done():
            last[2].set_exception(QueueFullError())
