"""Stores runs in a thread of its own, in batches of one transaction each."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from rerankd.runs.rows import RunRow
from rerankd.runs.run_queue import RunQueue, size_of
from rerankd.runs.settings import RunSettings
from rerankd.store.errors import StoreError
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.metrics.instruments import metrics

GATHER_S: Final = 0.25
"""How long runs wait for others to share a transaction; not with `durability: sync`."""
MAX_ROWS: Final = 500
"""Rows of a transaction at most."""
RETENTION_S: Final = 60.0
"""Seconds between two looks for runs to delete."""
_DELETION_S: Final = 0.25
"""Time for which steps of a deletion follow each other before runs are stored again."""
_LEAST_PAUSE_S: Final = 0.01
"""Between two steps of a deletion, so that other processes write too; a longer step has as long a pause."""
_FIRST_BACKOFF_S: Final = 0.25
_LAST_BACKOFF_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 5.0
_DAY_S: Final = 86_400.0
_log: Final = structlog.get_logger("rerankd.runs")


class Store(Protocol):
    """Where rows go. `RunStore` satisfies it; its methods raise `StoreError`."""

    def insert(self, rows: Sequence[RunRow], *, is_retry: bool = False) -> int:
        """Insert rows; return how many cannot be stored at all."""
        ...

    def delete_before(self, started_at: float) -> int:
        """Delete some of the runs that began before a time; return how many."""
        ...

    def delete_beyond(self, max_bytes: int) -> int:
        """Delete some of the oldest runs if all take more than `max_bytes`; return how many."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


class RunWriter:
    """The thread that stores the runs of a queue and deletes old ones.

    It opens the store with its first run. While the store cannot be used, runs wait in the queue, and it is tried again
    after longer and longer pauses, five seconds at most.

    Args:
        settings: Of the run log.
        queue: Has the ended calls.
        open_store: Opens the store; called in the thread, raises `StoreError`.
    """

    def __init__(self, settings: RunSettings, queue: RunQueue, open_store: Callable[[], Store]) -> None:
        self._settings = settings
        self._queue = queue
        self._open_store = open_store
        self._is_sync = settings.durability == "sync"
        self._gather_s = 0.0 if self._is_sync else GATHER_S
        self._store: Store | None = None
        self._rows: deque[RunRow] = deque()
        self._backoff_s = 0.0
        """0 while the store works."""
        self._next_try_s = 0.0
        self._next_retention_s = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="run-log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Store what waits, for five seconds at most, and end the thread; blocks meanwhile."""
        self._queue.close()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)
        if lost := len(self._queue):
            metrics.runs.of("lost").inc(lost)
            _log.error("runs were not stored before the process ended", runs=lost)

    def _run(self) -> None:
        self._next_retention_s = time.monotonic() + RETENTION_S
        if self._is_sync:
            self._work(time.monotonic())  # opens the store: the first call would wait for it
        while True:
            due_s = self._next_try_s if self._backoff_s else self._next_retention_s
            timeout_s = max(0.0, due_s - time.monotonic())
            self._keep(self._queue.take(timeout_s, 0.0 if self._backoff_s else self._gather_s, MAX_ROWS))
            now_s = time.monotonic()
            has_work = bool(self._rows) or now_s >= self._next_retention_s
            if has_work and (not self._backoff_s or now_s >= self._next_try_s or self._queue.is_closed):
                self._work(now_s)
            if self._queue.is_closed and (self._backoff_s or not len(self._queue)):
                break
        if self._store is not None:
            self._store.close()

    def _keep(self, items: list[CallRecord | RunRow]) -> None:
        """Keep what was taken as rows."""
        for item in items:
            if isinstance(item, RunRow):
                self._rows.append(item)
                continue
            before, row = size_of(item), self._queue.row_of(item)
            if row is None:
                self._queue.drop(before)
            else:
                self._rows.append(row)
                self._queue.resize(row.size - before)
        items.clear()  # texts of large calls go, whatever becomes of the store

    def _work(self, now_s: float) -> None:
        try:
            if self._store is None:
                self._store = self._open_store()
            while self._rows:
                self._insert(self._store)
            if now_s >= self._next_retention_s:
                self._delete_old(self._store)
        except Exception as error:  # whatever it is, the runs wait and it is tried again
            self._note_fault(error)
        else:
            if self._backoff_s:
                _log.info("the run log's store can be used again")
            self._backoff_s = 0.0

    def _insert(self, store: Store) -> None:
        rows = [self._rows[position] for position in range(min(MAX_ROWS, len(self._rows)))]
        refused = store.insert(rows, is_retry=self._backoff_s > 0)
        for _ in rows:
            self._rows.popleft()
        self._queue.done(len(rows), sum(row.size for row in rows))
        metrics.runs.of("stored").inc(len(rows) - refused)
        if refused:
            metrics.runs.of("lost").inc(refused)
            _log.error("the store refuses runs as they are; they are lost", runs=refused)

    def _delete_old(self, store: Store) -> None:
        """Delete runs that are too old or too many, a few at a time, until others are to be stored."""
        until_s = time.monotonic() + _DELETION_S
        oldest_at = time.time() - self._settings.keep_days * _DAY_S
        while (began_s := time.monotonic()) < until_s and not (self._is_sync and self._queue.has_items):
            if not (store.delete_before(oldest_at) or store.delete_beyond(self._settings.max_mb * 2**20)):
                self._next_retention_s = began_s + RETENTION_S
                return
            time.sleep(max(time.monotonic() - began_s, _LEAST_PAUSE_S))

    def _note_fault(self, error: Exception) -> None:
        self._queue.failing()
        if not self._backoff_s:
            detail = {"problem": str(error)} if isinstance(error, StoreError) else {"exc_info": error}
            _log.error("the run log's store cannot be used; calls go on, their runs wait", **detail)
        self._backoff_s = min(2 * self._backoff_s or _FIRST_BACKOFF_S, _LAST_BACKOFF_S)
        self._next_try_s = time.monotonic() + self._backoff_s
