"""Trace context: the caller's span, the ids that providers are told, and the sampling decision.

Ids are drawn and samplers asked when a provider is told of them (`traceparent`), or when spans are exported.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Protocol

from rerankd.telemetry.names import TRACEPARENT, TRACESTATE

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_MAX_STATE_CHARS: Final = 512
_LONGEST_GAP_NS: Final = 20_000
"""Between two reads of a clock that were not interrupted; they take some 100 ns."""

Attributes = dict[str, Any]


class Parent(NamedTuple):
    """The span a call came from."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: str
    """Value of `tracestate`; empty without one."""


class TracePolicy(NamedTuple):
    """How a process, or an embedded engine, takes part in traces."""

    sample: Callable[[int, Parent | None, str], bool] | None = None
    """Head sampling: takes trace id, parent and span name; `None` where no spans are exported."""
    propagates: bool = True
    """Whether providers are told the trace context."""


class TraceContext:
    """A trace that a call is part of. For one event loop.

    Args:
        name: Of the span that calls are children of, as the sampler is told it.
        parent: The caller's span.
        policy: Sampling and propagation.
        span_id: Of the span that calls are children of; default: drawn when it is needed.
    """

    __slots__ = ("_is_sampled", "_span_id", "_zero_ns", "name", "parent", "policy", "trace_id")

    def __init__(self, name: str, parent: Parent | None, policy: TracePolicy, span_id: int | None = None) -> None:
        self.name = name
        self.parent = parent
        self.policy = policy
        self.trace_id = parent.trace_id if parent else new_id(128)
        self._span_id = span_id
        self._is_sampled: bool | None = None
        self._zero_ns: int | None = None

    @property
    def trace(self) -> TraceContext:
        """See `CurrentSpan`."""
        return self

    @property
    def span_id(self) -> int:
        """Of the span that calls are children of; 0 where they are roots."""
        if self._span_id is None:
            self._span_id = new_id(64)
        return self._span_id

    @property
    def state(self) -> str:
        """Value of `tracestate`; empty without one."""
        return self.parent.state if self.parent else ""

    @property
    def is_exporting(self) -> bool:
        """Whether spans of this trace can be exported at all."""
        return self.policy.sample is not None

    @property
    def is_sampled(self) -> bool:
        """Head sampling's decision, made when it is first asked for; without exporters the caller's."""
        if self._is_sampled is None:
            sample, parent = self.policy.sample, self.parent
            if sample is None:
                self._is_sampled = parent is not None and parent.is_sampled
            else:
                self._is_sampled = sample(self.trace_id, parent, self.name)
        return self._is_sampled

    def at_ns(self, clock_s: float) -> int:
        """Convert a time of `time.perf_counter` to nanoseconds since 1970; one offset for the whole trace."""
        if self._zero_ns is None:
            self._zero_ns = _zero_ns()
        return self._zero_ns + int(clock_s * 1e9)

    def note(self, event: str, attributes: Attributes) -> None:
        """See `CurrentSpan`: events outside of a provider call belong to no span."""

    def call_exported(self, span_id: int, *, is_batch_item: bool) -> None:
        """Learn that the span of a call in this trace is exported. A span that is not ours does nothing with it."""


class CurrentSpan(Protocol):
    """The span that the running task is in."""

    @property
    def trace(self) -> TraceContext:
        """Its trace."""
        ...

    @property
    def span_id(self) -> int:
        """What children of it call their parent."""
        ...

    def note(self, event: str, attributes: Attributes) -> None:
        """Add an event that happens now to the span."""
        ...


current_span: ContextVar[CurrentSpan | None] = ContextVar("rerankd.telemetry.current_span", default=None)


def parse_parent(headers: Mapping[str, str]) -> Parent | None:
    """Parse the W3C trace context of a caller.

    Args:
        headers: HTTP headers or gRPC metadata, names in lower case.

    Returns:
        `None` without a valid `traceparent`; an invalid `tracestate` is left out.
    """
    given = headers.get(TRACEPARENT)
    matched = _TRACEPARENT.fullmatch(given.strip()) if given else None
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
    current = current_span.get()
    if current is None:
        return {}
    trace = current.trace
    if not trace.policy.propagates:
        return {}
    headers = {TRACEPARENT: f"00-{trace.trace_id:032x}-{current.span_id:016x}-{trace.is_sampled:02x}"}
    if state := trace.state:
        headers[TRACESTATE] = state
    return headers


def _zero_ns() -> int:
    # A pause between the two clocks, as on a busy machine, would move all spans of the trace out of their parent.
    for _ in range(4):
        before = time.perf_counter_ns()
        now = time.time_ns()
        gap = time.perf_counter_ns() - before
        if gap < _LONGEST_GAP_NS:
            break
    return now - before - gap // 2


_ids: Final = random.Random()  # noqa: S311 - no secret depends on it
"""Separate from the module's generator, which an embedding program may seed."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.seed)


def new_id(bits: int) -> int:
    """Draw a random id that is not 0."""
    return _ids.getrandbits(bits) or 1
