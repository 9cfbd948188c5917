"""A tracer of our own: the OpenTelemetry SDK's tracer, batch processor and exporter, as the `OTEL_*` variables say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final

import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from rerankd.telemetry.calls.trace_context import Parent
from rerankd.telemetry.fault_log import FaultLog
from rerankd.telemetry.metrics.instruments import metrics
from rerankd.telemetry.names import SERVICE_NAME
from rerankd.telemetry.tracing.tracer_spans import GivenIds, TracerSpans, ask_sampler

QUEUE_SIZE: Final = 2048
_LIMIT_VARIABLES: Final = ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT")

_log = structlog.get_logger("rerankd.telemetry")


class OwnTracer:
    """Sends spans from a thread of its own, until closed.

    Args:
        exporter: Sends them.
        resource: Describes this process.
        environ: The variables.
        queue_size: Spans that wait for the exporter at most; further ones are dropped and counted.
        sampler: Decides at the head of a trace; default: the one of `OTEL_TRACES_SAMPLER`.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        resource: Resource,
        environ: Mapping[str, str],
        queue_size: int = QUEUE_SIZE,
        sampler: Sampler | None = None,
    ) -> None:
        self._sampler = sampler or TracerProvider(shutdown_on_exit=False).sampler
        ids = GivenIds()
        # Whether a span is exported has been decided before it is written. Captured documents take more attributes
        # than the SDK's limit of 128, beyond which the first ones are dropped.
        is_limited = any(environ.get(name) for name in _LIMIT_VARIABLES)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            id_generator=ids,
            span_limits=SpanLimits() if is_limited else SpanLimits(max_span_attributes=SpanLimits.UNSET),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_BoundedProcessor(exporter, queue_size))
        self.spans = TracerSpans(self._provider.get_tracer(SERVICE_NAME, metadata.version("rerankd")), ids)
        """Takes the spans."""

    def sample(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        """Ask the sampler whether a trace is sampled."""
        return ask_sampler(self._sampler, trace_id, parent, name)

    def close(self) -> None:
        """Send what waits; blocks while the collector does."""
        self._provider.shutdown()


class _BoundedProcessor(SpanProcessor):
    """The SDK's batch processor, which drops spans beyond its queue without saying so, behind a bound that counts."""

    def __init__(self, exporter: SpanExporter, queue_size: int) -> None:
        self._exporter = _CountingExporter(exporter)
        self._batches = BatchSpanProcessor(self._exporter, max_queue_size=queue_size)
        self._queue_size = queue_size
        self._taken = 0
        self._dropped = metrics.spans.of("dropped")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or drop and count it while too many wait."""
        if self._taken - self._exporter.given >= self._queue_size:
            self._dropped.inc()
            return
        self._taken += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what waits and end the exporter."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # the library's

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits now."""
        return self._batches.force_flush(timeout_millis)


class _CountingExporter(SpanExporter):
    """Counts what becomes of spans, and logs when that changes."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._faults = FaultLog(
            _log, "spans cannot be exported; they are dropped until the collector answers", "spans are exported again"
        )
        self._exported = metrics.spans.of("exported")
        self._dropped = metrics.spans.of("dropped")
        self.given = 0
        """Spans that wait no longer, exported or not."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that cannot be sent are dropped."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # whatever the exporter raises, these spans are lost and the next ones are tried
            result = SpanExportResult.FAILURE
        self.given += len(spans)
        if result is SpanExportResult.SUCCESS:
            self._exported.inc(len(spans))
            self._faults.succeeded()
        else:
            self._dropped.inc(len(spans))
            self._faults.failed()
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()
