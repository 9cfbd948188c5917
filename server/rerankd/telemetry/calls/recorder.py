"""What happens at the end of a call: its record goes to the sinks, together with those of other calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import RerankRequest
from rerankd.telemetry.calls.call_record import MAX_NAME_CHARS, CallRecord, RefusedRequest
from rerankd.telemetry.calls.deferred import DELAY_S, DeferredQueue
from rerankd.telemetry.calls.server_span import ServerSpan
from rerankd.telemetry.calls.watches import AttemptWatch
from rerankd.telemetry.metrics.instruments import metrics

_log: Final = structlog.get_logger("rerankd.telemetry")


class EndedBatch(NamedTuple):
    """What ended since the last batch, each list in the order it ended."""

    calls: list[CallRecord]
    late_attempts: list[AttemptWatch]
    """Provider calls that went on after their rerank call had ended, and so are in no record."""
    server_spans: list[ServerSpan]
    """A server's span ends after its calls, so its calls are in this batch or an earlier one."""


class Sink(Protocol):
    """Takes ended calls: one implementation for each use of them. Runs in one thread at a time."""

    name: str
    """Value of the `sink` label where its faults are counted."""
    is_prompt: bool
    """Whether it wants every call when it ends, not up to 50 ms later."""

    @property
    def needs_texts(self) -> Callable[[CallRecord], bool] | None:
        """Tells whether a record must still hold request, texts and response; `None` if none must."""
        ...

    def consume(self, batch: EndedBatch) -> None:
        """Take a batch. What it raises is counted and logged once; the batch is lost for this sink alone."""
        ...


class DurableSink(Sink, Protocol):
    """A sink that is waited for before a call is answered."""

    def stores(self, record: CallRecord) -> bool:
        """Tell whether it stores a call that has ended."""
        ...

    async def sync(self) -> None:
        """Return when everything consumed before is stored. Called by many tasks at once."""
        ...


class Recorder:
    """Makes the records of calls and hands them to the sinks when the calls have ended.

    `begin` and `sync` are for one event loop, everything else for any thread. The owner calls `flush` at the end.

    Args:
        sinks: Take every batch, in this order.
        durable: Sinks of that kind; they take the batches after the others.
        delay_s: Longest time an ended call waits for others.
    """

    def __init__(
        self, sinks: Sequence[Sink] = (), *, durable: Sequence[DurableSink] = (), delay_s: float = DELAY_S
    ) -> None:
        self._sinks = [_Guarded(sink) for sink in (*sinks, *durable)]
        self._durable = [(sink, guarded) for sink, guarded in zip(durable, self._sinks[len(sinks) :], strict=True)]
        self._queue: DeferredQueue[CallRecord | AttemptWatch | ServerSpan] = DeferredQueue(self._consume, delay_s)
        self._is_prompt = any(sink.is_prompt for sink in (*sinks, *durable))
        self.keeps_texts: Callable[[CallRecord], bool] = _never
        """See `CallObserver`."""
        for sink in (*sinks, *durable):
            self._add_need(sink)
        self.in_flight = 0
        """Calls that have begun and not ended."""

    def add(self, sink: Sink) -> None:
        """Add a sink, before the first call."""
        self._add(sink)

    def add_durable(self, sink: DurableSink) -> None:
        """Add a durable sink, before the first call."""
        self._durable.append((sink, self._add(sink)))

    def begin(self, request: RerankRequest, call: CallContext) -> CallRecord:
        """Begin the record of a call, in the running task's trace."""
        self.in_flight += 1
        return CallRecord.of(request, call, self)

    def refused(self, refused: RefusedRequest) -> None:
        """Record a request that was refused before it was a call: it has a log line, and counts as a failed call."""
        record = self.begin(RerankRequest(), refused.call)
        record.path = refused.path[:MAX_NAME_CHARS]
        record.started_s = refused.started_s
        record.failed(refused.reason, refused.code)

    def call_ended(self, record: CallRecord) -> None:
        """Take a call that has ended. A server's fault is handed over at once: the process may be about to end."""
        self.in_flight -= 1
        self._queue.add(record, is_urgent=self._is_prompt or record.is_server_fault)

    def attempt_ended_late(self, attempt: AttemptWatch) -> None:
        """Take a provider call that outlived its rerank call."""
        self._queue.add(attempt, is_urgent=self._is_prompt)

    def server_span_ended(self, span: ServerSpan) -> None:
        """Take a server's span that has ended."""
        self._queue.add(span, is_urgent=self._is_prompt)

    @property
    def is_durable(self) -> bool:
        """Whether callers have to await `sync` before they answer."""
        return bool(self._durable)

    async def sync(self, record: CallRecord) -> None:
        """Return when the durable sinks have stored a call that has ended. Their faults do not raise."""
        durable = [each for each in self._durable if each[0].stores(record)]
        if durable:
            self.flush()
        for sink, guarded in durable:
            try:
                await sink.sync()
            except Exception as error:  # no call fails for a sink
                guarded.note_fault(error)

    def flush(self) -> None:
        """Hand over everything that waits."""
        self._queue.drain()

    def _add(self, sink: Sink) -> _Guarded:
        guarded = _Guarded(sink)
        self._sinks.append(guarded)
        self._is_prompt = self._is_prompt or sink.is_prompt
        self._add_need(sink)
        return guarded

    def _add_need(self, sink: Sink) -> None:
        needs, others = sink.needs_texts, self.keeps_texts
        if needs is not None:
            self.keeps_texts = needs if others is _never else lambda record: needs(record) or others(record)

    def _consume(self, items: list[CallRecord | AttemptWatch | ServerSpan]) -> None:
        batch = EndedBatch([], [], [])
        for item in items:
            if isinstance(item, CallRecord):
                batch.calls.append(item)
            elif isinstance(item, ServerSpan):
                batch.server_spans.append(item)
            else:
                batch.late_attempts.append(item)
        for guarded in self._sinks:
            try:
                guarded.sink.consume(batch)
            except Exception as error:  # no call fails for a sink, and the other sinks go on
                guarded.note_fault(error)
            else:
                guarded.is_failing = False


def _never(_record: CallRecord) -> bool:
    return False


class _Guarded:
    """A sink whose faults are counted, and logged when they begin."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.is_failing = False
        """Whether its last batch failed."""
        self._errors = metrics.sink_errors.of(sink.name)

    def note_fault(self, error: Exception) -> None:
        self._errors.inc()
        if not self.is_failing:
            _log.error("telemetry sink failed; what it was given is lost", sink=self.sink.name, exc_info=error)
        self.is_failing = True
