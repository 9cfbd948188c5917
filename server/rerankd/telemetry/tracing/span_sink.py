"""Exports the spans of ended calls: of those that are sampled, failed or slow."""

from __future__ import annotations

from typing import Protocol

from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.calls.trace_context import TraceContext, new_id
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.tracing.call_spans import SpanRecord, call_spans, server_span
from rerankd.telemetry.tracing.capture import Capture


class SpanWriter(Protocol):
    """Where ended spans go."""

    def write(self, span: SpanRecord) -> None:
        """Take a span. Does not wait for a network."""
        ...


class SpanSink:
    """Decides which ended calls are exported and writes their spans. Satisfies `Sink`.

    Args:
        writer: Takes the spans.
        settings: Which calls are exported whatever head sampling says, and which texts their spans hold.
        is_prompt: Whether spans are written when a call ends, not up to 50 ms later.
    """

    name = "spans"

    def __init__(self, writer: SpanWriter, settings: TelemetrySettings, *, is_prompt: bool = False) -> None:
        self._writer = writer
        self._settings = settings
        self._capture = Capture(settings)
        self.needs_texts = _always if settings.captures else None
        self.is_prompt = is_prompt

    def consume(self, batch: EndedBatch) -> None:
        """Write the spans of a batch: calls first, because a server's span links calls in it."""
        for record in batch.calls:
            trace = record.trace
            if trace is None or record.path:  # a refused request has the server's span alone
                continue
            if self._keeps(trace, record.elapsed_s, is_error=record.reason is not None):
                self._write_call(record, trace)
        for span in batch.server_spans:
            elapsed_s = span.ended_s - span.started_s
            if span.has_exported_calls or self._keeps(span, elapsed_s, is_error=span.error is not None):
                self._writer.write(server_span(span))

    def _keeps(self, trace: TraceContext, elapsed_s: float, *, is_error: bool) -> bool:
        if not trace.is_exporting:
            return False
        settings = self._settings
        is_slow = 0 < settings.slow_call_ms <= elapsed_s * 1000
        return is_slow or (is_error and settings.keeps_errors) or trace.is_sampled

    def _write_call(self, record: CallRecord, trace: TraceContext) -> None:
        span_id = new_id(64)
        for span in call_spans(record, trace, span_id, self._capture.attributes(record)):
            self._writer.write(span)
        trace.call_exported(span_id, is_batch_item=record.call.request_type == "batch_rerank")


def _always(_record: CallRecord) -> bool:
    return True
