"""Keeps spend: adds up calls as they end, and writes the sums to the store every few seconds."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from rerankd.access.spend.settings import SpendSettings
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.access.spend.sums import Rows, SpendSums
from rerankd.store.errors import StoreError
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.fault_log import FaultLog
from rerankd.telemetry.metrics.instruments import metrics

if TYPE_CHECKING:
    from rerankd.access.spend.spend_table import SpendTable

_PRUNE_S: Final = 3600.0
_log: Final = structlog.get_logger("rerankd.access")


class _Batch(NamedTuple):
    """Rows that are being written; their number makes it safe to write them again."""

    number: int
    rows: Rows


class SpendSink:
    """Takes ended calls. Satisfies `Sink`.

    The store need not be there: what cannot be written is kept, within `sums.MAX_ROWS` rows, and written later.
    Processes and replicas add to the same sums. `start` and `close` are for one event loop, `consume` for any thread.

    Args:
        settings: How often it writes, and how much it tells apart.
        stored: Where sums are kept; its creator closes it after the sink.
        clock: Returns seconds since 1970.
    """

    name = "spend"
    needs_texts = None
    is_prompt = False

    def __init__(self, settings: SpendSettings, stored: StoredSpend, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._stored = stored
        self._clock = clock
        self._sums = SpendSums(settings.max_names)
        self._adding = threading.Lock()
        self._writer = secrets.token_hex(8)
        self._batch = _Batch(0, {})
        self._pruned_s = 0.0
        self._faults = FaultLog(
            _log, "spend cannot be written now, and is kept until it can be", "spend can be written again"
        )
        self._task: asyncio.Task[None] | None = None

    def consume(self, batch: EndedBatch) -> None:
        """See `Sink`."""
        now_s = self._clock()
        with self._adding:
            for record in batch.calls:
                self._sums.add_call(record, now_s)
            for attempt in batch.late_attempts:
                if isinstance(attempt.late_for, CallRecord):
                    self._sums.add_late(attempt, attempt.late_for, now_s)

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._keep_writing(), name="spend")

    async def close(self) -> None:
        """Write what is left, for `store.timeout_s` at most."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(self._stored.timeout_s):
                is_written = await self.write()
        except TimeoutError:
            is_written = False
        if not is_written:
            _log.error("spend is lost: the store cannot be used", calls=self._waiting_calls())

    async def write(self) -> bool:
        """Write all sums; return whether that succeeded. Faults are counted and logged."""
        try:
            while self._next().rows:
                table = await self._stored.table()
                await table.add(self._writer, *self._batch)
                self._batch = _Batch(self._batch.number, {})
                await self._prune(table)
        except StoreError as error:
            metrics.store_errors.of("spend").inc()
            self._faults.failed(error)
            return False
        self._faults.succeeded()
        return True

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.write_every_s)
            await self.write()

    def _next(self) -> _Batch:
        """Return the batch to write: the one whose outcome is not known, else what was added since the last one."""
        if not self._batch.rows:
            with self._adding:
                rows = self._sums.take()
            self._batch = _Batch(self._batch.number + 1 if rows else self._batch.number, rows)
        return self._batch

    async def _prune(self, table: SpendTable) -> None:
        """Delete what is too old, once an hour."""
        now_s = self._clock()
        if now_s - self._pruned_s >= _PRUNE_S:
            await table.delete_before(self._settings.keep_days)
            self._pruned_s = now_s

    def _waiting_calls(self) -> int:
        rows = [*self._batch.rows.items(), *self._sums.take().items()]
        return sum(amounts.calls for key, amounts in rows if key.is_first_group)
