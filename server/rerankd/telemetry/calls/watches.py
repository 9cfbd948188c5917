"""The facts of the provider calls of one rerank call: chunks, and the attempts at each."""

from __future__ import annotations

import time
from contextvars import Token
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from rerankd.telemetry.calls.timed_watch import TimedWatch
from rerankd.telemetry.calls.trace_context import Attributes, CurrentSpan, TraceContext, current_span
from rerankd_adapters.base import AdapterError
from rerankd_adapters.call import RoutedReply


class SpanEvent(NamedTuple):
    """Something that happened within a provider call."""

    name: str
    at_s: float
    """By the clock of `time.perf_counter`."""
    attributes: Attributes


class WatchedCall(Protocol):
    """What the watches tell the record of their call. `CallRecord` satisfies it."""

    @property
    def trace(self) -> TraceContext | None:
        """See `CallRecord`."""
        ...

    def retried(self, model: str, chunk_index: int, delay_s: float, cause: str) -> None:
        """See `CallRecord`."""
        ...

    def hedged(self, model: str, chunk_index: int, deployment: str) -> None:
        """See `CallRecord`."""
        ...

    def provider_call_started(self, now_s: float) -> None:
        """See `CallRecord`."""
        ...

    def provider_call_ended(self, attempt: AttemptWatch, now_s: float) -> None:
        """See `CallRecord`."""
        ...


class ParentSpan(Protocol):
    """The span that provider calls are part of, if it is not that of the rerank call."""

    @property
    def span_id(self) -> int:
        """Its id."""
        ...


class ChunkWatch:
    """Watches the attempts at one chunk."""

    __slots__ = ("count", "index", "operation", "parent", "record")

    def __init__(self, record: WatchedCall, index: int, count: int, parent: ParentSpan | None = None) -> None:
        self.record = record
        self.index = index
        self.count = count
        self.parent = parent
        self.operation = "rerank"
        """What is asked for: `rerank` or `chat`."""

    def attempt(self, labels: tuple[str, str, str], number: int, documents: int) -> AttemptWatch:
        """Watch one provider call.

        Args:
            labels: Provider, the provider's name of the model, deployment.
            number: 1 for the first attempt at the chunk.
            documents: In the chunk.
        """
        return AttemptWatch(self, labels, number, documents)

    def retried(self, model: str, delay_s: float, failure: Exception) -> None:
        """Note that the chunk is tried again, after a pause of `delay_s`, because of `failure`."""
        self.record.retried(model, self.index, delay_s, outcome_of(failure))

    def hedged(self, model: str, deployment: str) -> None:
        """Note that a second copy of a slow call goes to `deployment`."""
        self.record.hedged(model, self.index, deployment)


class AttemptWatch(TimedWatch):
    """Watches one provider call: the context it is made in. Set `reply` before leaving it."""

    __slots__ = (
        "_record",
        "_token",
        "_trace",
        "chunk_count",
        "chunk_index",
        "deployment",
        "documents",
        "events",
        "late_for",
        "model",
        "number",
        "operation",
        "parent",
        "provider",
        "reply",
    )

    def __init__(self, chunk: ChunkWatch, labels: tuple[str, str, str], number: int, documents: int) -> None:
        self._record: WatchedCall | None = chunk.record
        self.parent = chunk.parent
        """The member's span that the call is part of; `None`: that of the rerank call."""
        self.chunk_index = chunk.index
        self.chunk_count = chunk.count
        self.provider, self.model, self.deployment = labels
        self.number = number
        self.operation = chunk.operation
        self.documents = documents
        self.reply: RoutedReply | None = None
        self.outcome = ""
        """`ok`, the kind of the failure, or `cancelled`; empty while the call is under way."""
        self.late_for: WatchedCall | None = None
        """The rerank call, where it had ended before this one did."""
        self.events: list[SpanEvent] = []
        self._trace = chunk.record.trace
        self._span_id = 0
        self._token: Token[CurrentSpan | None] | None = None

    def __enter__(self) -> Self:
        if self._trace is not None and self._trace.is_exporting:
            self._token = current_span.set(self)
        self.started_s = now_s = time.perf_counter()
        if self._record is not None:
            self._record.provider_call_started(now_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended_s = now_s = time.perf_counter()
        self.outcome = "ok" if error is None else outcome_of(error)
        # An ended record must not be kept alive by a reference cycle until the next garbage collection.
        record, self._record = self._record, None
        if record is not None:
            record.provider_call_ended(self, now_s)
        if self._token is not None:
            current_span.reset(self._token)

    @property
    def trace(self) -> TraceContext:
        """See `CurrentSpan`: the running task is in this span only where there is a trace."""
        if self._trace is None:
            raise LookupError("the call is part of no trace")
        return self._trace

    def note(self, event: str, attributes: Attributes) -> None:
        """See `CurrentSpan`."""
        self.events.append(SpanEvent(event, time.perf_counter(), attributes))


def milliseconds(seconds: float) -> float:
    """Return a time in milliseconds, to three decimals: as `round` does, which takes four times as long."""
    return int(seconds * 1e6 + 0.5) / 1000


def outcome_of(error: BaseException) -> str:
    """Name what became of a provider call that raised: the adapter error's kind, `refused` or `cancelled`."""
    if isinstance(error, AdapterError):
        return str(error.kind.value)
    return "refused" if isinstance(error, Exception) else "cancelled"
