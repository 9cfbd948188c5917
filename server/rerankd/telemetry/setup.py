"""Where spans and metrics go: the exporters that the standard `OTEL_*` variables name."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from typing import Any, Final, cast

import structlog
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.telemetry.capture import Capture
from rerankd.telemetry.metrics import metrics
from rerankd.telemetry.names import SERVICE_NAME
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.settling import settle
from rerankd.telemetry.trace import Kind, Parent, SpanRecord, install

_CLOSE_TIMEOUT_S: Final = 3.0
_QUEUE_VARIABLE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
_QUEUE_SIZE: Final = 2048
KINDS: Final[Mapping[Kind, otel.SpanKind]] = {
    "server": otel.SpanKind.SERVER,
    "client": otel.SpanKind.CLIENT,
    "internal": otel.SpanKind.INTERNAL,
}
_EXPORTERS: Final = {
    ("traces", "grpc"): ("rerankd.telemetry.otlp_spans", "RecordExporter"),
    ("traces", "http/protobuf"): ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
    ("metrics", "grpc"): ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "OTLPMetricExporter"),
    ("metrics", "http/protobuf"): ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "OTLPMetricExporter"),
}
_SAMPLED: Final = otel.TraceFlags(otel.TraceFlags.SAMPLED)
_UNSET: Final = otel.Status(otel.StatusCode.UNSET)

_log = structlog.get_logger("rerankd.telemetry")


class TelemetrySettingsError(Exception):
    """The `OTEL_*` variables cannot be used; the message says which and why."""


class Telemetry:
    """What was set up for this process; `close` sends what waits.

    Made by `open_telemetry`.
    """

    def __init__(self, closers: Sequence[Callable[[], None]]) -> None:
        self._closers = closers

    async def close(self) -> None:
        """Send what waits, for three seconds at most, and keep no further spans."""
        settle()
        install(None)
        await asyncio.to_thread(close_all, self._closers)


def close_all(closers: Sequence[Callable[[], None]]) -> None:
    """Call each of what sends its rest when closed, for three seconds at most; blocks meanwhile."""

    def close() -> None:
        for each in closers:
            each()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(_CLOSE_TIMEOUT_S)


def open_telemetry(options: TelemetrySettings, environ: Mapping[str, str]) -> Telemetry:
    """Set up the exporters of this process; none unless a variable asks for one.

    Raises:
        TelemetrySettingsError: A variable names an exporter or a protocol there is not, or is no number.
    """
    metrics.keep(is_kept=options.metrics)
    metrics.model.limit = metrics.deployment.limit = options.max_models
    metrics.build.of(metadata.version("rerankd")).set(1)
    install(None, propagates=options.propagates)
    resource = _resource(environ)
    closers: list[Callable[[], None]] = []
    if sink := open_spans(options, environ, resource):
        install(sink)
        closers.append(sink.close)
    if exporter := _open_exporter("metrics", environ):
        from rerankd.telemetry.otlp_metrics import MetricsPush

        push = MetricsPush(exporter, resource, _number(environ, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000)
        closers.append(push.close)
    return Telemetry(closers)


def open_spans(
    options: TelemetrySettings, environ: Mapping[str, str], resource: Resource | None = None
) -> Spans | None:
    """Open what sends spans; `None` unless a variable asks for it.

    Raises:
        TelemetrySettingsError: As of `open_telemetry`.
    """
    exporter = _open_exporter("traces", environ)
    if exporter is None:
        return None
    return Spans(exporter, options, resource or _resource(environ), _number(environ, _QUEUE_VARIABLE, _QUEUE_SIZE))


def _resource(environ: Mapping[str, str]) -> Resource:
    """Say who we are, where the variables do not; each worker is an instance of its own."""
    given = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    ours = {"service.version": metadata.version("rerankd")}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in given:
        ours["service.name"] = SERVICE_NAME
    if "service.instance.id=" not in given:
        ours["service.instance.id"] = str(uuid.uuid4())
    return Resource.create(ours)


def _open_exporter(signal: str, environ: Mapping[str, str]) -> Any | None:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    named = environ.get(f"OTEL_{signal.upper()}_EXPORTER")
    own_endpoint = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    has_endpoint = any(environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", own_endpoint))
    chosen = named or ("otlp" if has_endpoint else "none")
    if chosen in ("none", "prometheus"):
        return None
    if chosen == "console":
        return ConsoleSpanExporter() if signal == "traces" else _console_metrics()
    if chosen != "otlp":
        raise TelemetrySettingsError(f"OTEL_{signal.upper()}_EXPORTER must be otlp, console or none, is {chosen}")
    own_protocol = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    protocol = environ.get(own_protocol) or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    if (signal, protocol) not in _EXPORTERS:
        raise TelemetrySettingsError(f"{own_protocol} must be grpc or http/protobuf, is {protocol}")
    for noisy in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # a dead collector is said once, by `_Counting`
    module, kind = _EXPORTERS[signal, protocol]
    try:
        return getattr(import_module(module), kind)()
    except (OSError, ValueError) as error:
        problem = f"the OTLP exporter of {signal} cannot be opened; check the OTEL_EXPORTER_OTLP_* variables"
        raise TelemetrySettingsError(problem) from error


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    given = environ.get(name, "")
    if given and not (given.isascii() and given.isdigit() and int(given)):
        raise TelemetrySettingsError(f"{name} must be a whole number above 0, is {given[:100]}")
    return int(given) if given else default


def _console_metrics() -> Any:
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

    return ConsoleMetricExporter()


class Spans:
    """Hands ended spans to an exporter, from a thread of its own. Satisfies `SpanSink`.

    Args:
        exporter: Sends them.
        options: What is kept.
        resource: Who says it.
        queue_size: Spans that may wait; further ones are dropped.
        sampler: Decides at the head of a trace; default: the one of `OTEL_TRACES_SAMPLER`.
    """

    is_prompt = False

    def __init__(
        self,
        exporter: SpanExporter,
        options: TelemetrySettings,
        resource: Resource,
        queue_size: int = _QUEUE_SIZE,
        sampler: Sampler | None = None,
    ) -> None:
        self.options = options
        self._sampler = sampler or TracerProvider(shutdown_on_exit=False).sampler
        self._bound = bound_of_roots(self._sampler)
        self._capture = Capture(options)
        self._counting = _Counting(exporter, resource)
        self._processor = BatchSpanProcessor(self._counting, max_queue_size=queue_size)
        self._queue_size = queue_size
        self._emitted = 0
        self._dropped = metrics.spans.of("dropped")

    def samples(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        """Ask the sampler."""
        if parent is None and self._bound is not None:
            return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound
        return is_sampled(self._sampler, trace_id, parent, name)

    def capture(self, request: RerankRequest, response: RerankResponse | None) -> dict[str, Any]:
        """Return what a span holds of the texts of a call."""
        return self._capture.attributes(request, response)

    def emit(self, span: SpanRecord) -> None:
        """Take a span, or drop and count it while too many wait."""
        if self._emitted - self._counting.taken >= self._queue_size:
            self._dropped.inc()
            return
        self._emitted += 1
        self._processor.on_end(cast(ReadableSpan, span))

    def close(self) -> None:
        """Send what waits; blocks while the collector does."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def bound_of_roots(sampler: Sampler) -> int | None:
    """Return what the low 64 bits of a trace id have to be below to be sampled, where the call has no parent.

    To compare costs a tenth of asking the SDK. `None` for a sampler that does not go by a share.
    """
    has_root = type(sampler).should_sample is ParentBased.should_sample
    root = getattr(sampler, "_root", None) if has_root else sampler
    return root.bound if type(root) is TraceIdRatioBased else None


def is_sampled(sampler: Sampler, trace_id: int, parent: Parent | None, name: str) -> bool:
    """Ask a sampler at the head of our part of a trace."""
    context = Context()
    if parent is not None:
        flags = _SAMPLED if parent.is_sampled else otel.TraceFlags.get_default()
        remote = otel.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
        context = otel.set_span_in_context(otel.NonRecordingSpan(remote), context)
    decided = sampler.should_sample(context, trace_id, name, otel.SpanKind.SERVER).decision
    return decided is Decision.RECORD_AND_SAMPLE


class _Counting(SpanExporter):
    """Makes the SDK's spans of records, where the exporter takes nothing else, and counts what becomes of them."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource
        self._scope = InstrumentationScope(SERVICE_NAME, metadata.version("rerankd"))
        introduce = getattr(exporter, "introduce", None)
        self._takes_records = introduce is not None
        if introduce is not None:
            introduce(resource, self._scope)
        self._is_failing = False
        self._exported = metrics.spans.of("exported")
        self._dropped = metrics.spans.of("dropped")
        self.taken = 0
        """Spans that wait no longer."""

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Send spans; what cannot be sent is dropped."""
        try:
            result = self._exporter.export(spans if self._takes_records else [self._readable(span) for span in spans])
        except Exception:
            result = SpanExportResult.FAILURE
        self.taken += len(spans)
        has_failed = result is not SpanExportResult.SUCCESS
        (self._dropped if has_failed else self._exported).inc(len(spans))
        if has_failed and not self._is_failing:
            _log.warning("spans cannot be exported; they are dropped until the collector answers")
        elif self._is_failing and not has_failed:
            _log.info("spans are exported again")
        self._is_failing = has_failed
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def _readable(self, span: SpanRecord) -> ReadableSpan:
        state = otel.TraceState.from_header([span.state]) if span.state else None

        def context(span_id: int, *, is_remote: bool = False) -> otel.SpanContext:
            return otel.SpanContext(span.trace_id, span_id, is_remote, _SAMPLED, state)

        return ReadableSpan(
            name=span.name,
            context=context(span.span_id),
            parent=context(span.parent_id, is_remote=span.kind == "server") if span.parent_id else None,
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(name, attributes, timestamp=at_ns) for name, at_ns, attributes in span.events],
            links=[otel.Link(context(linked)) for linked in span.links],
            kind=KINDS[span.kind],
            status=_UNSET if span.error is None else otel.Status(otel.StatusCode.ERROR, span.error),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )
