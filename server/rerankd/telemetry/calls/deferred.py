"""A queue of per-call work that is done in batches, off the path of the call."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

DELAY_S: Final = 0.05
MAX_WAITING: Final = 128


class DeferredQueue(Generic[T]):
    """Collects items and hands them over in batches, in the order they were added.

    In a loop over many calls the work costs half to a third of what it does between two calls, because code and data
    stay in the processor's caches.

    Safe to use from any thread; `consume` never runs twice at the same time.

    Args:
        consume: Takes one batch, n >= 1. Never raises.
        delay_s: Longest time an item waits.
        max_waiting: Items that wait at most; the one that makes it so many is handed over at once.
    """

    def __init__(
        self, consume: Callable[[list[T]], None], delay_s: float = DELAY_S, max_waiting: int = MAX_WAITING
    ) -> None:
        self._consume = consume
        self._delay_s = delay_s
        self._max_waiting = max_waiting
        self._waiting: deque[T] = deque()
        self._draining = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop whose timer is going to drain the queue."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, *, is_urgent: bool = False) -> None:
        """Add an item.

        It is handed over at once, with all that wait, where it is urgent or there is no running event loop.
        """
        self._waiting.append(item)
        if is_urgent or len(self._waiting) >= self._max_waiting:
            self.drain()
        elif self._loop is None or self._loop.is_closed():
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self.drain()
            else:
                self._loop.call_later(self._delay_s, self._drain_on_time)

    def drain(self) -> None:
        """Hand over everything that waits."""
        with self._draining:
            while batch := self._take():
                self._consume(batch)

    def _take(self) -> list[T]:
        batch: list[T] = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        return batch

    def _drain_on_time(self) -> None:
        self._loop = None
        self.drain()
