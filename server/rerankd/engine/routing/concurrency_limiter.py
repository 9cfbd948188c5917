"""Limits the calls in flight at one deployment; further calls queue by priority, then first in, first out."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class QueueFullError(Exception):
    """The limit is reached and the queue is full."""


class ConcurrencyLimiter:
    """A semaphore with a bounded priority queue. For one event loop.

    Args:
        limit: Maximum calls in flight, at least 1; `None` without a limit.
        max_queued: Maximum calls that wait, at least 0.
    """

    def __init__(self, limit: int | None, max_queued: int) -> None:
        self.limit = limit
        """Maximum calls in flight; `None` without a limit."""
        self._max_queued = max_queued
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self.in_flight = 0
        """Admitted calls that have not been released."""

    @property
    def queued(self) -> int:
        """Waiting calls."""
        return len(self._queue)

    def refuses(self, priority: int) -> bool:
        """Whether `acquire` would raise for a call of `priority`."""
        if self.limit is None or self.in_flight < self.limit or len(self._queue) < self._max_queued:
            return False
        return not self._queue or max(self._queue)[0] <= priority

    def try_acquire(self) -> bool:
        """Admit a call without waiting; `False` if the limit is reached."""
        if self.limit is None or self.in_flight < self.limit:
            self.in_flight += 1
            return True
        return False

    async def acquire(self, priority: int) -> None:
        """Admit a call, waiting if the limit is reached. Cancelling removes it from the queue.

        Args:
            priority: 0 to 999; lower values are served first, the highest is shed first.

        Raises:
            QueueFullError: The limit is reached and the queue is full, or the call is shed from the queue.
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
        """End an admitted call; admits the first call of the queue."""
        while self._queue:
            admitted = heapq.heappop(self._queue)[2]
            if not admitted.done():
                admitted.set_result(None)
                return
        self.in_flight -= 1

    def _shed(self) -> None:
        """Remove the call of the highest priority value from the queue, latest among equals; its `acquire` raises."""
        last = max(self._queue)
        self._queue.remove(last)
        heapq.heapify(self._queue)
        if not last[2].done():
            last[2].set_exception(QueueFullError())
