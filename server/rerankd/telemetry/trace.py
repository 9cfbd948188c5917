"""Traces as the service keeps them while a call runs: plain records, made into spans when the call has ended.

Nothing is decided late but whether a call is exported: ids are there from the start, so that what goes to a provider
(`traceparent`) fits the spans that follow. A call that sampling leaves out costs no spans unless it fails or is slow.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

from rerankd.contract import RerankRequest, RerankResponse
from rerankd.telemetry.names import ERROR_TYPE, TRACEPARENT, TRACESTATE
from rerankd.telemetry.options import TelemetryOptions

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_MAX_STATE_CHARS: Final = 512
_MAX_LINKS: Final = 128

Kind = Literal["server", "client", "internal"]


class Parent(NamedTuple):
    """The span a call came from."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: str


class _Flags(NamedTuple):
    sampled: bool = True


class _Sampled(NamedTuple):
    trace_flags: _Flags = _Flags()


class Origin:
    """Which trace a span is of, and its clock. Refers to nothing, so that calls leave no cycles behind."""

    __slots__ = ("_started_ns", "_zero_ns", "state", "trace_id")

    def __init__(self, trace_id: int, state: str) -> None:
        self.trace_id = trace_id
        self.state = state
        self._started_ns = time.time_ns()
        self._zero_ns = time.perf_counter_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970, on one clock for the whole call."""
        return self._started_ns + time.perf_counter_ns() - self._zero_ns


class SpanRecord:
    """One span that has ended, or will. Most are never exported, so there is nothing in it before it is needed."""

    __slots__ = (
        "attributes",
        "ended_ns",
        "error",
        "events",
        "kind",
        "links",
        "name",
        "origin",
        "parent_id",
        "span_id",
        "started_ns",
    )

    context: ClassVar[_Sampled] = _Sampled()
    """Says to the SDK's processor that it is to be exported."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        origin: Origin,
        span_id: int,
        parent_id: int | None,
        started_ns: int,
        attributes: dict[str, Any],
    ) -> None:
        self.name = name
        self.kind = kind
        self.origin = origin
        self.span_id = span_id
        self.parent_id = parent_id
        """`None` or 0 for the root of a trace."""
        self.started_ns = started_ns
        self.ended_ns = 0
        self.attributes = attributes
        self.events: Sequence[tuple[str, int, dict[str, Any]]] = ()
        """Name, time, attributes."""
        self.links: Sequence[int] = ()
        """Spans of the same trace."""
        self.error: str | None = None
        """What went wrong; `None` where nothing did."""

    def add_event(self, name: str, attributes: dict[str, Any]) -> None:
        """Note what happens now."""
        self.events = (*self.events, (name, self.origin.now_ns(), attributes))


class SpanSink(Protocol):
    """Where ended spans go. Never blocks, never raises."""

    options: TelemetryOptions

    def samples(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        """Decide at the head of a call whether it is exported."""
        ...

    def capture(self, request: RerankRequest, response: RerankResponse | None) -> dict[str, Any]:
        """Return what a span holds of the texts of a call."""
        ...

    def emit(self, span: SpanRecord) -> None:
        """Take a span."""
        ...


class _State:
    sink: SpanSink | None = None
    propagates = True


_state = _State()


def install(sink: SpanSink | None, *, propagates: bool = True) -> None:
    """Send the spans of this process to `sink` from now on; `None` keeps no spans.

    Whether providers are told the trace context is said by the sink's options, and without one by `propagates`.
    """
    _state.sink = sink
    _state.propagates = propagates


class Trace:
    """One call of the server in its trace. For one event loop."""

    __slots__ = ("has_kept", "is_sampled", "origin", "server", "sink")

    def __init__(self, name: str, parent: Parent | None, sink: SpanSink | None, attributes: dict[str, Any]) -> None:
        self.sink = sink
        self.origin = Origin(parent.trace_id, parent.state) if parent else Origin(new_id(128), "")
        if sink is None:
            self.is_sampled = parent is not None and parent.is_sampled
        else:
            self.is_sampled = sink.samples(self.origin.trace_id, parent, name)
        self.has_kept = False
        """Whether spans of it are exported although it is not sampled."""
        span_id = parent.span_id if sink is None and parent else new_id(64)
        parent_id = parent.span_id if parent else None
        self.server = SpanRecord(name, "server", self.origin, span_id, parent_id, self.origin.now_ns(), attributes)

    def is_exported(self, elapsed_ns: int, *, is_error: bool) -> bool:
        """Whether something that took so long, and ended so, is exported."""
        if self.sink is None:
            return False
        options = self.sink.options
        is_slow = 0 < options.slow_call_ms * 1e6 <= elapsed_ns
        return self.is_sampled or (is_error and options.keeps_errors) or is_slow

    def emit(self, spans: list[SpanRecord]) -> None:
        """Export spans of the call."""
        if self.sink is not None:
            self.has_kept = True
            for span in spans:
                self.sink.emit(span)

    def link(self, span_id: int) -> None:
        """Link an item of the stream from the server's span."""
        if len(self.server.links) < _MAX_LINKS:
            self.server.links = (*self.server.links, span_id)

    def finish(self, *, error: str | None = None) -> None:
        """End the server's span; `error` is the status code, where the fault is the server's."""
        server = self.server
        server.ended_ns = self.origin.now_ns()
        server.error = error
        if error is not None:
            server.attributes[ERROR_TYPE] = error
        elapsed_ns = server.ended_ns - server.started_ns
        if self.has_kept or self.is_exported(elapsed_ns, is_error=error is not None):
            self.emit([server])


class Active(NamedTuple):
    """The span that the running task is in."""

    trace: Trace
    span: SpanRecord


active: ContextVar[Active | None] = ContextVar("rerankd.telemetry.active", default=None)


def begin(name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Trace | None:
    """Begin the span of a call of the server in the running task.

    Args:
        name: Of the span.
        headers: HTTP headers or gRPC metadata, names in lower case.
        attributes: Of the span.

    Returns:
        `None` when there is nothing to keep or pass on.
    """
    given = headers.get(TRACEPARENT)
    parent = _parent(given, headers) if given else None
    if parent is None and _state.sink is None:
        return None
    trace = Trace(name, parent, _state.sink, attributes)
    active.set(Active(trace, trace.server))
    return trace


def begin_within(parent: Parent | None, sink: SpanSink | None, name: str) -> None:
    """Run the task under a span that is not ours, or under none: what it begins is a child of `parent`, or a root."""
    trace = Trace(name, parent, sink, {})
    trace.server.span_id = parent.span_id if parent else 0
    active.set(Active(trace, trace.server))


def _parent(given: str, headers: Mapping[str, str]) -> Parent | None:
    matched = _TRACEPARENT.fullmatch(given.strip())
    if matched is None:
        return None
    trace_id, span_id = int(matched[1], 16), int(matched[2], 16)
    if not trace_id or not span_id:
        return None
    state = headers.get(TRACESTATE, "")
    is_usable = len(state) <= _MAX_STATE_CHARS and state.isascii() and state.isprintable()
    return Parent(trace_id, span_id, bool(int(matched[3], 16) & 1), state if is_usable else "")


def trace_headers() -> dict[str, str]:
    """Return the W3C trace context of the running task as headers; empty without one."""
    current = active.get()
    if current is None:
        return {}
    trace, span = current
    if not (_state.propagates if trace.sink is None else trace.sink.options.propagates):
        return {}
    headers = {TRACEPARENT: f"00-{trace.origin.trace_id:032x}-{span.span_id:016x}-{trace.is_sampled:02x}"}
    if trace.origin.state:
        headers[TRACESTATE] = trace.origin.state
    return headers


def current_trace_id() -> str | None:
    """Return the running task's trace id as 32 hexadecimal digits."""
    current = active.get()
    return None if current is None else f"{current.trace.origin.trace_id:032x}"


def new_id(bits: int) -> int:
    """Draw an id that is not 0."""
    return random.getrandbits(bits) or 1
