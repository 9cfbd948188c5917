"""Writes span records through an OpenTelemetry tracer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler

from rerankd.telemetry.calls.trace_context import Parent
from rerankd.telemetry.tracing.call_spans import Kind, SpanRecord

_KINDS: Final[Mapping[Kind, otel.SpanKind]] = {
    "server": otel.SpanKind.SERVER,
    "client": otel.SpanKind.CLIENT,
    "internal": otel.SpanKind.INTERNAL,
}
_SAMPLED: Final = otel.TraceFlags(otel.TraceFlags.SAMPLED)
_ROOT: Final = Context()
"""Without a span, and so without a parent. Passing none would mean the running task's context."""


class GivenIds(RandomIdGenerator):
    """An id generator that returns the ids of the span that is written: providers have been told them already."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        """Return the trace id of the span that is written."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """Return the span id of the span that is written."""
        return self.span_id


class TracerSpans:
    """Starts and ends a span of a tracer for each record, with the record's times. For one thread at a time.

    Satisfies `SpanWriter`.

    Args:
        tracer: Uses `ids` as its id generator.
        ids: Told the ids of each span before it is started.
    """

    def __init__(self, tracer: otel.Tracer, ids: GivenIds) -> None:
        self._tracer = tracer
        self._ids = ids

    def write(self, record: SpanRecord) -> None:
        """Start a span and end it; the tracer's processors take it from there."""
        self._ids.trace_id, self._ids.span_id = record.trace_id, record.span_id
        span = self._tracer.start_span(
            record.name,
            _parent_context(record),
            _KINDS[record.kind],
            record.attributes,
            [otel.Link(_span_context(record, span_id)) for span_id in record.links],
            start_time=record.started_ns,
        )
        for name, at_ns, attributes in record.events:
            span.add_event(name, attributes, at_ns)
        if record.error is not None:
            span.set_status(otel.Status(otel.StatusCode.ERROR, record.error))
        span.end(record.ended_ns)


def ask_sampler(sampler: Sampler, trace_id: int, parent: Parent | None, name: str) -> bool:
    """Ask a sampler whether a trace is sampled, at the head of our part of it."""
    context = _ROOT
    if parent is not None:
        flags = _SAMPLED if parent.is_sampled else otel.TraceFlags.get_default()
        remote = otel.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
        context = otel.set_span_in_context(otel.NonRecordingSpan(remote), _ROOT)
    decided = sampler.should_sample(context, trace_id, name, otel.SpanKind.SERVER).decision
    return decided is Decision.RECORD_AND_SAMPLE


def _parent_context(record: SpanRecord) -> Context:
    if not record.parent_id:
        return _ROOT
    parent = _span_context(record, record.parent_id, is_remote=record.kind == "server")
    return otel.set_span_in_context(otel.NonRecordingSpan(parent), _ROOT)


def _span_context(record: SpanRecord, span_id: int, *, is_remote: bool = False) -> otel.SpanContext:
    state = otel.TraceState.from_header([record.state]) if record.state else None
    return otel.SpanContext(record.trace_id, span_id, is_remote, _SAMPLED, state)
