"""A bounded queue between the event loop, where calls end, and the thread that stores their runs.

The rows of small calls are made when their records come, in the event loop: that costs it no more than to keep records
for the thread, whose caches are cold, and saves the thread 45 us a call (docs/decisions/0059).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from rerankd.runs.capture import RunCapture, chars_of
from rerankd.runs.rows import RunRow
from rerankd.runs.settings import RunSettings
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.metrics.instruments import metrics

_SMALL_CHARS: Final = 32_768
_SMALL_DOCUMENTS: Final = 100
"""Calls up to which a row takes some 20 to 200 us to make."""
_log: Final = structlog.get_logger("rerankd.runs")


class RunQueue:
    """Counts and bounds the runs that wait, from the end of their calls to their commit.

    `offer` and `wait` are for one event loop, the other methods for one thread.

    Args:
        settings: Bounds of the queue.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._max_runs = settings.queue_size
        self._max_bytes = settings.queue_mb * 2**20
        self._timeout_s = settings.sync_timeout_s
        self._capture = RunCapture(settings)
        self._changed = threading.Condition()
        self._items: deque[CallRecord | RunRow] = deque()
        self._bytes = 0
        self._accepted = 0
        self._done = 0
        """Of the accepted runs, in their order, those that are committed or given up."""
        self._is_full = False
        self._is_failing = False
        self._is_closed = False
        self._waiting: deque[tuple[int, asyncio.Future[None], asyncio.AbstractEventLoop]] = deque()
        """Who waits until so many runs are done; appended by the event loop, and taken off there."""

    def __len__(self) -> int:
        """Runs that wait."""
        return self._accepted - self._done

    @property
    def has_room(self) -> bool:
        """Whether one more run is taken."""
        return len(self) < self._max_runs and self._bytes < self._max_bytes

    @property
    def has_items(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items)

    @property
    def is_closed(self) -> bool:
        """Whether no more runs come."""
        return self._is_closed

    def offer(self, records: Sequence[CallRecord]) -> None:
        """Take ended calls; those for which there is no room are lost, and counted."""
        with self._changed:
            lost = 0
            for record in records:
                if not self.has_room:
                    lost += 1
                    continue
                if (item := self._small(record)) is None:
                    continue
                self._items.append(item)
                self._bytes += size_of(item)
                self._accepted += 1
            self._changed.notify()
        if lost:
            metrics.runs.of("lost").inc(lost)
            if not self._is_full:
                _log.error("the run log's queue is full; calls go on, their runs are lost", waiting=len(self))
            self._is_full = True
        elif len(self) < self._max_runs // 2:
            self._is_full = False

    async def wait(self) -> None:
        """Return when every run taken so far is done, at the timeout, or at once while the store fails."""
        wanted = self._accepted
        if self._done < wanted and not self._is_failing:
            await self._wait_for(wanted)
        if self._done < wanted:
            metrics.runs.of("late").inc()

    async def _wait_for(self, wanted: int) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((wanted, future, loop))
        if self._done >= wanted:  # since it was looked at, so that nobody may wake this task
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await future
        except TimeoutError:
            self._is_failing = self._done < wanted  # it may hang; nobody else waits for it until it answers

    def close(self) -> None:
        """Say that no more runs come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def take(self, timeout_s: float, gather_s: float, at_most: int) -> list[CallRecord | RunRow]:
        """Wait for runs and take some: rows, and records of large calls.

        Args:
            timeout_s: Longest time to wait for the first one.
            gather_s: How long to wait then for others to make `at_most`.
            at_most: Runs to take.
        """
        with self._changed:
            if not self._items and not self._is_closed:
                self._changed.wait(timeout_s)
            if self._items and gather_s:
                self._changed.wait_for(lambda: self._is_closed or len(self._items) >= at_most, gather_s)
            return [self._items.popleft() for _ in range(min(at_most, len(self._items)))]

    def row_of(self, record: CallRecord) -> RunRow | None:
        """Make the row of a record; `None`, counted and logged, for one that cannot be written down."""
        try:
            return self._capture.row_of(record)
        except Exception:  # a fault of ours loses this run, and fails no call
            metrics.runs.of("lost").inc()
            _log.exception("a run cannot be written down; it is lost", request_id=record.call.request_id)
            return None

    def resize(self, by: int) -> None:
        """Note that what waits has become larger or smaller, in bytes."""
        with self._changed:
            self._bytes += by

    def drop(self, size: int) -> None:
        """Note that a run of `size` bytes is lost, and that nobody has to wait for it."""
        with self._changed:
            self._accepted -= 1
            self._bytes -= size

    def done(self, runs: int, size: int) -> None:
        """Note that the next runs are committed, or given up, which took `size` bytes."""
        with self._changed:
            self._done += runs
            self._bytes -= size
        self._is_failing = False
        self._call_wake()

    def failing(self) -> None:
        """Note that the store fails: nobody waits for it until something is done again."""
        self._is_failing = True
        self._call_wake()

    def _small(self, record: CallRecord) -> CallRecord | RunRow | None:
        """Return the row of a small call, or the record of another; `None` for one that cannot be written down."""
        is_large = record.documents > _SMALL_DOCUMENTS or chars_of(record.texts) > _SMALL_CHARS
        if is_large or not self._capture.is_quick(record):
            return record
        return self.row_of(record)

    def _call_wake(self) -> None:
        if self._waiting:
            loop = self._waiting[0][2]
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        while self._waiting and (self._is_failing or self._waiting[0][0] <= self._done):
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_result(None)


def size_of(item: CallRecord | RunRow) -> int:
    """Return the bytes that a run takes while it waits, about."""
    return item.size if isinstance(item, RunRow) else chars_of(item.texts)
