"""The server's span: one HTTP request or gRPC call, with all rerank calls in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.telemetry.calls.call_record import RefusedRequest
from rerankd.telemetry.calls.trace_context import (
    Attributes,
    Parent,
    TraceContext,
    TracePolicy,
    current_span,
    parse_parent,
)

_MAX_LINKS: Final = 128


class ServerSpan(TraceContext):
    """The span of one request to the server. Made by `ServerTracing.begin`; `end` it once."""

    __slots__ = ("_ended", "describe", "ended_s", "error", "has_exported_calls", "links", "started_s")

    def __init__(
        self, name: str, parent: Parent | None, policy: TracePolicy, ended: Callable[[ServerSpan], None]
    ) -> None:
        # Without exporters the span is not ours: providers are told the caller's.
        super().__init__(name, parent, policy, parent.span_id if parent and policy.sample is None else None)
        self._ended = ended
        self.describe: Callable[[], Attributes] = dict
        """Returns the attributes; called only where the span is exported."""
        self.error: str | None = None
        """Status code, where the server failed."""
        self.has_exported_calls = False
        """Whether a call in it is exported, and so the span has to be."""
        self.links: list[int] = []
        """Span ids of the first 128 items of a batch that are exported."""
        self.started_s = time.perf_counter()
        self.ended_s = 0.0
        """By the clock of `time.perf_counter`, as `started_s`; 0 until it has ended."""

    def call_exported(self, span_id: int, *, is_batch_item: bool) -> None:
        """Learn that the span of a call in this trace is exported, and link it where it is an item of a batch."""
        self.has_exported_calls = True
        if is_batch_item and len(self.links) < _MAX_LINKS:
            self.links.append(span_id)

    def end(self, describe: Callable[[], Attributes], *, name: str | None = None, error: str | None = None) -> None:
        """End the span. It is exported later, if at all.

        Args:
            describe: Returns the attributes; called up to 50 ms later.
            name: Of the span, where more is known than when it began.
            error: The status code, where the server failed.
        """
        self.ended_s = time.perf_counter()
        if not self.is_exporting:
            return
        self.name = name or self.name
        self.describe = describe
        self.error = error
        self._ended(self)


class ServerTracing:
    """What transports tell telemetry: the server's spans, and requests they refuse. For one event loop.

    Args:
        policy: Sampling and propagation; default: no spans are exported, and the caller's context is passed on.
        ended: Takes each span that has ended, where spans are exported.
        refused: Takes each request that was refused before it was a call.
    """

    def __init__(
        self,
        policy: TracePolicy | None = None,
        ended: Callable[[ServerSpan], None] | None = None,
        refused: Callable[[RefusedRequest], None] | None = None,
    ) -> None:
        self._policy = policy or TracePolicy()
        self._ended = ended or _discard
        self._refused = refused or _discard

    def begin(self, name: str, headers: Mapping[str, str]) -> ServerSpan | None:
        """Begin the span of a request and make it the running task's.

        Args:
            name: Of the span.
            headers: HTTP headers or gRPC metadata, names in lower case.

        Returns:
            `None` where there is nothing to export or pass on.
        """
        parent = parse_parent(headers)
        if parent is None and self._policy.sample is None:
            return None
        span = ServerSpan(name, parent, self._policy, self._ended)
        current_span.set(span)
        return span

    def failed(self, error: ServiceError, call: CallContext, path: str, started_s: float) -> None:
        """Record the failure of a request, unless the record of a call has it.

        Args:
            error: As the caller sees it.
            call: As far as it was read.
            path: Of the HTTP request, or the gRPC method.
            started_s: When the request began, by the clock of `time.perf_counter`.
        """
        if not error.is_recorded:
            self._refused(RefusedRequest(call, error.reason, error.code, path, started_s))

    def unknown_method(self, call: CallContext, path: str) -> None:
        """Record a call of a gRPC method that there is not."""
        self._refused(RefusedRequest(call, Reason.ROUTE_NOT_FOUND, Code.UNIMPLEMENTED, path, time.perf_counter()))


def _discard(_ended: object) -> None:
    """Drop a span or a refused request."""
