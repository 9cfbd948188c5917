"""Traces as the service keeps them while a call runs: who the caller was, and when what began.

Ids are drawn and samplers asked when a provider is told of them (`traceparent`), or when the call has ended. Spans are
made then, of calls that are exported alone.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Literal, NamedTuple, Protocol

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.telemetry.names import ERROR_TYPE, TRACEPARENT, TRACESTATE
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.settling import export_later, settle_later

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


Attributes = dict[str, Any]


class SpanRecord(NamedTuple):
    """One span that has ended. Made of calls that are exported alone. Refers to nothing that refers back to it."""

    name: str
    kind: Kind
    trace_id: int
    state: str
    """What vendors say of the trace (`tracestate`)."""
    span_id: int
    parent_id: int | None
    """`None` or 0 for the root of a trace."""
    started_ns: int
    """Since 1970."""
    ended_ns: int
    attributes: Attributes
    events: Sequence[tuple[str, int, Attributes]] = ()
    """Name, nanoseconds since 1970, attributes."""
    links: Sequence[int] = ()
    """Spans of the same trace."""
    error: str | None = None
    """What went wrong; `None` where nothing did."""
    context: _Sampled = _Sampled()
    """Says to the SDK's processor that it is to be exported."""


class SpanSink(Protocol):
    """Where ended spans go. Never blocks, never raises."""

    options: TelemetrySettings
    is_prompt: bool
    """Whether it wants the spans of a call when the call ends, not a moment later."""

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
    """One call of the server in its trace, and the server's span of it. For one event loop.

    Args:
        name: Of the span, as the sampler is told it.
        parent: The caller's span.
        sink: Where the spans go.
        span_id: Of the span; default: drawn when it is needed.
    """

    __slots__ = (
        "_attributes",
        "_ended_s",
        "_error",
        "_has_kept",
        "_is_sampled",
        "_links",
        "_name",
        "_parent",
        "_span_id",
        "_started_s",
        "_zero_ns",
        "sink",
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        parent: Parent | None,
        sink: SpanSink | None,
        span_id: int | None = None,
    ) -> None:
        self._name = name
        self._parent = parent
        self.sink = sink
        self.trace_id = parent.trace_id if parent else new_id(128)
        self._span_id = span_id
        self._is_sampled: bool | None = None
        self._zero_ns: int | None = None
        self._links: list[int] = []
        self._has_kept = False
        """Whether spans of it are exported, and so the server's span is."""
        self._started_s = time.perf_counter()

    @property
    def trace(self) -> Trace:
        """See `Position`."""
        return self

    @property
    def span_id(self) -> int:
        """Of the server's span."""
        if self._span_id is None:
            self._span_id = new_id(64)
        return self._span_id

    @property
    def state(self) -> str:
        """What vendors say of the trace (`tracestate`)."""
        return self._parent.state if self._parent else ""

    @property
    def is_sampled(self) -> bool:
        """Whether all of it is exported, decided when that is first asked."""
        if self._is_sampled is None:
            parent = self._parent
            if self.sink is None:
                self._is_sampled = parent is not None and parent.is_sampled
            else:
                self._is_sampled = self.sink.samples(self.trace_id, parent, self._name)
        return self._is_sampled

    def at_ns(self, clock_s: float) -> int:
        """Convert a time of `time.perf_counter` to nanoseconds since 1970; all of one trace by the same difference."""
        if self._zero_ns is None:
            self._zero_ns = time.time_ns() - time.perf_counter_ns()
        return self._zero_ns + int(clock_s * 1e9)

    def timed(self, events: Iterable[tuple[str, float, Attributes]]) -> list[tuple[str, int, Attributes]]:
        """Convert the times of events."""
        return [(name, self.at_ns(clock_s), attributes) for name, clock_s, attributes in events]

    def keeps(self, elapsed_s: float, *, is_error: bool) -> bool:
        """Whether what took so long, and ended so, is exported."""
        if self.sink is None:
            return False
        options = self.sink.options
        is_slow = 0 < options.slow_call_ms <= elapsed_s * 1000
        is_kept = is_slow or (is_error and options.keeps_errors) or self.is_sampled
        self._has_kept |= is_kept
        return is_kept

    def later(self, export: Callable[[], None]) -> None:
        """Have spans of the call made and exported with those of others, or at once for a sink that wants them so."""
        export_later(export, is_urgent=self.sink is not None and self.sink.is_prompt)

    def emit(self, spans: Iterable[SpanRecord]) -> None:
        """Export spans of the call."""
        if self.sink is not None:
            for span in spans:
                self.sink.emit(span)

    def link(self, span_id: int) -> None:
        """Link an item of the stream from the server's span."""
        if len(self._links) < _MAX_LINKS:
            self._links.append(span_id)

    def note(self, event: str, attributes: Attributes) -> None:
        """See `Position`: what happens outside of a provider call belongs to no span."""

    def end(self, *, is_error: bool) -> bool:
        """End the server's span; whether it is exported, and so is to be told of by `finish`."""
        self._ended_s = time.perf_counter()
        return self._has_kept or self.keeps(self._ended_s - self._started_s, is_error=is_error)

    def finish(self, attributes: Attributes, *, name: str | None = None, error: str | None = None) -> None:
        """Export the server's span, which has ended, a moment later.

        Args:
            attributes: Of the span.
            name: What is known by now to be its name.
            error: The status code, where the fault is the server's.
        """
        if self.sink is None:
            return
        self._name = name or self._name
        self._error = error
        self._attributes = attributes if error is None else attributes | {ERROR_TYPE: error}
        settle_later(self, is_urgent=self.sink.is_prompt)

    def settle(self) -> None:
        """Export the server's span, after those of the call."""
        self.later(self._export)

    def _export(self) -> None:
        span = SpanRecord(
            self._name,
            "server",
            self.trace_id,
            self.state,
            self.span_id,
            self._parent.span_id if self._parent else None,
            self.at_ns(self._started_s),
            self.at_ns(self._ended_s),
            self._attributes,
            links=self._links,
            error=self._error,
        )
        self.emit([span])


class Position(Protocol):
    """The span that the running task is in."""

    @property
    def trace(self) -> Trace:
        """Its trace."""
        ...

    @property
    def span_id(self) -> int:
        """What children of it call their parent."""
        ...

    def note(self, event: str, attributes: Attributes) -> None:
        """Note what happens now as an event of the span."""
        ...


active: ContextVar[Position | None] = ContextVar("rerankd.telemetry.active", default=None)


def begin(name: str, headers: Mapping[str, str]) -> Trace | None:
    """Begin the span of a call of the server in the running task.

    Args:
        name: Of the span.
        headers: HTTP headers or gRPC metadata, names in lower case.

    Returns:
        `None` when there is nothing to keep or pass on.
    """
    given = headers.get(TRACEPARENT)
    parent = _parent(given, headers) if given else None
    if parent is None and _state.sink is None:
        return None
    sink = _state.sink
    trace = Trace(name, parent, sink, parent.span_id if parent and sink is None else None)
    active.set(trace)
    return trace


def begin_within(parent: Parent | None, sink: SpanSink | None, name: str) -> None:
    """Run the task under a span that is not ours, or under none: what it begins is a child of `parent`, or a root."""
    active.set(Trace(name, parent, sink, parent.span_id if parent else 0))


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
    trace = current.trace
    if not (_state.propagates if trace.sink is None else trace.sink.options.propagates):
        return {}
    headers = {TRACEPARENT: f"00-{trace.trace_id:032x}-{current.span_id:016x}-{trace.is_sampled:02x}"}
    if state := trace.state:
        headers[TRACESTATE] = state
    return headers


_ids: Final = random.Random()  # noqa: S311 - no secret depends on it
"""Of its own, so that a program that seeds `random` neither repeats ids nor has its numbers taken."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.seed)


def new_id(bits: int) -> int:
    """Draw an id that is not 0."""
    return _ids.getrandbits(bits) or 1
