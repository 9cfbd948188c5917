"""Bounds the calls one deployment has in flight; further ones queue by priority, then by arrival."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class QueueFullError(Exception):
    """The limit is reached and the queue is full."""


class ConcurrencyLimiter:
    """A semaphore with a bounded priority queue. For one event loop.

    Args:
        limit: Calls in flight at once; `None` for any number.
        max_queued: Calls that may wait.
    """

    def __init__(self, limit: int | None, max_queued: int) -> None:
        self.limit = limit
        """Calls in flight at once; `None` for any number."""
        self._max_queued = max_queued
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self.in_flight = 0
        """Calls under way."""

    @property
    def queued(self) -> int:
        """Calls that wait."""
        return len(self._queue)

    def refuses(self, priority: int) -> bool:
        """Whether a further call of `priority` would be refused."""
        if self.limit is None or self.in_flight < self.limit or len(self._queue) < self._max_queued:
            return False
        return not self._queue or max(self._queue)[0] <= priority

    def try_acquire(self) -> bool:
        """Admit a call if it need not wait; `False` when the limit is reached."""
        if self.limit is None or self.in_flight < self.limit:
            self.in_flight += 1
            return True
        return False

    async def acquire(self, priority: int) -> None:
        """Admit a call, waiting if need be; cancelling gives up the wait.

        Args:
            priority: 0 to 999; lower is served first, and the highest is shed first.

        Raises:
            QueueFullError: When the limit is reached and the queue is full.
        """
        if self.try_acquire():
            return
        if self.refuses(priority):
            raise QueueFullError
        if len(self._queue) >= self._max_queued:
            self._shed()
        admitted = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._arrivals), admitted)
        heapq.heappush(self._queue, entry)
        try:
            await admitted
        except BaseException:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self.release()
            elif entry in self._queue:
                self._queue.remove(entry)
                heapq.heapify(self._queue)
            raise

    def release(self) -> None:
        """End a call; the first of the queue is admitted in its stead."""
        while self._queue:
            admitted = heapq.heappop(self._queue)[2]
            if not admitted.done():
                admitted.set_result(None)
                return
        self.in_flight -= 1

    def _shed(self) -> None:
        """Refuse the queued call of the highest priority number, the latest among equals."""
        last = max(self._queue)
        self._queue.remove(last)
        heapq.heapify(self._queue)
        if not last[2].done():
            last[2].set_exception(QueueFullError())
