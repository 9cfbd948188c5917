"""The run log of one process: sink, queue, writer. The database library is imported when there is a run to store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rerankd.runs.capture import RunCapture
from rerankd.runs.run_queue import RunQueue
from rerankd.runs.settings import RunSettings
from rerankd.runs.writer import RETENTION_S, RunWriter
from rerankd.store.settings import StoreSettings
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch, Recorder

if TYPE_CHECKING:
    from rerankd.runs.run_store import RunStore

_NAME: Final = "runs"


class RunSink:
    """Puts the calls that are logged into the queue. Satisfies `DurableSink`.

    Args:
        settings: Which calls are logged.
        queue: Takes them.
        writer: Is started with the first one.
    """

    name = _NAME
    is_prompt = False

    def __init__(self, settings: RunSettings, queue: RunQueue, writer: RunWriter) -> None:
        self._queue = queue
        self._writer = writer
        self.stores: Callable[[CallRecord], bool] = RunCapture(settings).takes
        """See `DurableSink`."""
        self.needs_texts: Callable[[CallRecord], bool] | None = self.stores
        """See `Sink`."""

    def consume(self, batch: EndedBatch) -> None:
        """See `Sink`."""
        if records := [record for record in batch.calls if self.stores(record)]:
            self._queue.offer(records)
            self._writer.start()

    async def sync(self) -> None:
        """See `DurableSink`."""
        await self._queue.wait()


class RunLog:
    """The run log. For one event loop; its creator closes it, when the recorder has been flushed.

    Construction opens nothing, and nothing is opened before the first run unless calls wait for it. Every process that
    has a store deletes old runs, whether it logs calls or not.

    Args:
        settings: Of the run log.
        store: Where runs are stored.
    """

    def __init__(self, settings: RunSettings, store: StoreSettings) -> None:
        self._settings = settings
        self._store = store
        self._queue = RunQueue(settings)
        self._writer = RunWriter(settings, self._queue, self._open)
        self._timer: asyncio.TimerHandle | None = None

    def record(self, recorder: Recorder) -> None:
        """Log the calls of a recorder, before its first one."""
        if self._settings.calls == "none":
            return
        sink = RunSink(self._settings, self._queue, self._writer)
        if self._settings.durability == "sync":
            recorder.add_durable(sink)
        else:
            recorder.add(sink)

    def start(self) -> None:
        """Open the store where calls wait for it; look for old runs from time to time, if there is a store."""
        if self._settings.durability == "sync" and self._settings.calls != "none":
            self._writer.start()
        self._timer = asyncio.get_running_loop().call_later(RETENTION_S, self._start_deleting)

    async def close(self) -> None:
        """Store what waits, for five seconds at most."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.to_thread(self._writer.close)

    def _start_deleting(self) -> None:
        if not self._store.is_sqlite or self._store.sqlite_path().exists():
            self._writer.start()

    def _open(self) -> RunStore:
        from rerankd.runs.run_store import RunStore

        return RunStore(self._store, is_durable=self._settings.durability == "sync")
