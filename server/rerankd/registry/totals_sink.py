"""Counts the calls of rerankers, and adds what was counted to the store."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from rerankd.registry.stored_reranker import CallTotals
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.fault_log import FaultLog

if TYPE_CHECKING:
    from rerankd.registry.reranker_table import RerankerTable

FLUSH_S: Final = 1.0

_log = structlog.get_logger("rerankd.registry")


class TotalsTable(Protocol):
    """Opens the table of totals."""

    async def table(self) -> RerankerTable:
        """Return the table."""
        ...


class TotalsSink:
    """Adds up the calls of rerankers; a task adds the sums to the store every second. Satisfies `Sink`.

    What cannot be stored is kept and added later, so that no call is lost while the process lives.

    Args:
        source: Opens the store.
        key_of: Returns the reranker that a requested model name leads to; empty for another model.
        clock: Returns seconds since 1970.
    """

    name = "reranker_totals"
    needs_texts = None
    is_prompt = False

    def __init__(
        self, source: TotalsTable, key_of: Callable[[str], str], clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._key_of = key_of
        self._clock = clock
        self._waiting: dict[str, CallTotals] = {}
        self._counting = threading.Lock()
        self._faults = FaultLog(_log, "totals of rerankers cannot be stored", "totals of rerankers are stored again")
        self._is_closing = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def consume(self, batch: EndedBatch) -> None:
        """Count a batch, in whatever thread."""
        if batch.calls and (counted := self._counted(batch.calls)):
            self._add(counted)

    def start(self) -> None:
        """Begin to add to the store."""
        self._loop = asyncio.create_task(self._keep_flushing(), name="reranker-totals")

    async def close(self) -> None:
        """Add what waits, and stop."""
        self._is_closing.set()
        if self._loop is not None:
            await self._loop
        await self.flush()

    async def flush(self) -> None:
        """Add what was counted to the store. Faults are logged."""
        if not self._waiting:
            return
        with self._counting:
            counted, self._waiting = self._waiting, {}
        try:
            await (await self._source.table()).add_totals(counted)
        except Exception as error:  # whatever it is, what was counted is added later
            self._add(counted)
            self._faults.failed(error)
        else:
            self._faults.succeeded()

    async def _keep_flushing(self) -> None:
        while not self._is_closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._is_closing.wait()
            await self.flush()

    def _counted(self, calls: Iterable[CallRecord]) -> dict[str, CallTotals]:
        found: dict[str, CallTotals] = {}
        now_s = self._clock()
        for record in calls:
            has_failed = record.reason is not None
            if record.reranker is None and not has_failed and not record.fallbacks:
                continue  # the model that was asked has answered, and is no reranker
            if record.path or not (key := self._key_of(record.requested_model)):
                continue
            one = CallTotals(
                runs=1,
                failures=int(has_failed),
                latency_ms=0.0 if has_failed else record.latency_ms,
                last_used_at=now_s,
            )
            found[key] = _sum(found[key], one) if key in found else one
        return found

    def _add(self, counted: dict[str, CallTotals]) -> None:
        with self._counting:
            for key, totals in counted.items():
                waiting = self._waiting.get(key)
                self._waiting[key] = totals if waiting is None else _sum(waiting, totals)


def _sum(first: CallTotals, second: CallTotals) -> CallTotals:
    return CallTotals(
        runs=first.runs + second.runs,
        failures=first.failures + second.failures,
        latency_ms=first.latency_ms + second.latency_ms,
        last_used_at=max(first.last_used_at or 0.0, second.last_used_at or 0.0),
    )
