"""The traces of a program that calls the engine in its own process: its spans are the parents of ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.telemetry.capture import Capture
from rerankd.telemetry.names import MODEL_SPAN, SERVICE_NAME
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.settling import settle
from rerankd.telemetry.trace import Parent, SpanRecord, SpanSink, begin_within

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

    from rerankd.telemetry.setup import Spans

_API: Final = "opentelemetry.trace"
_SDK: Final = "opentelemetry.sdk.trace"

_log = structlog.get_logger("rerankd.telemetry")


def calling_span() -> Parent | None:
    """Return the span that the calling thread or task is in; `None` outside of any.

    A program that has not imported OpenTelemetry has none, and does not pay for the import here.
    """
    if _API not in sys.modules:
        return None
    from opentelemetry import trace as otel

    context = otel.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return Parent(context.trace_id, context.span_id, context.trace_flags.sampled, context.trace_state.to_header())


class HostTracing:
    """Where the spans of one engine in a program go. For one event loop; whoever opened it closes it.

    They go to the program's tracer provider where it has set one by then, else where the `OTEL_*` variables say.

    Args:
        options: What is kept.
        environ: The variables.
    """

    def __init__(self, options: TelemetrySettings, environ: Mapping[str, str]) -> None:
        self._options = options
        self._own: Spans | None = None
        self._sink: SpanSink | None = None
        if provider := _program_provider():
            self._sink = HostTracerSpans(provider, options)
        elif any(name.startswith("OTEL_") for name in environ):
            self._sink = self._own = _open_own(options, environ)

    def begin(self, parent: Parent | None) -> None:
        """Run what the running task does from now on under `parent`."""
        if self._sink is not None or (parent is not None and self._options.propagates):
            begin_within(parent, self._sink, MODEL_SPAN)

    def close(self) -> None:
        """Send what waits, for three seconds at most; blocks meanwhile."""
        if self._own is not None:
            from rerankd.telemetry.setup import close_all

            settle()
            close_all([self._own.close])


def _program_provider() -> TracerProvider | None:
    if _SDK not in sys.modules:
        return None
    from opentelemetry import trace as otel
    from opentelemetry.sdk.trace import TracerProvider

    provider = otel.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _open_own(options: TelemetrySettings, environ: Mapping[str, str]) -> Spans | None:
    from rerankd.telemetry.setup import TelemetrySettingsError, open_spans

    try:
        return open_spans(options, environ)
    except TelemetrySettingsError as error:
        _log.warning("spans are not kept", problem=str(error))
        return None


class HostTracerSpans:
    """Makes spans of the program's own tracer of ours, with the ids that providers were told. Satisfies `SpanSink`.

    Whether a trace is kept is the program's decision: its sampler is asked, and errors make no difference. Its
    processors run in the engine's thread: one that sends each span at once holds up other calls.
    """

    def __init__(self, provider: TracerProvider, options: TelemetrySettings) -> None:
        from opentelemetry.sdk.trace import Tracer
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Given(RandomIdGenerator):
            """Gives the ids of the span that is being made."""

            trace_id = span_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

            def generate_span_id(self) -> int:
                return self.span_id

        self.is_prompt = True  # the program may end at once
        self.options = msgspec.structs.replace(options, keeps_errors=False, slow_call_ms=0)
        self._sampler = provider.sampler
        self._capture = Capture(options)
        self._given = Given()
        self._tracer = provider.get_tracer(SERVICE_NAME, metadata.version("rerankd"))
        if isinstance(self._tracer, Tracer):
            self._tracer.id_generator = self._given

    def samples(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        """Ask the program's sampler."""
        from rerankd.telemetry.setup import is_sampled

        return is_sampled(self._sampler, trace_id, parent, name)

    def capture(self, request: RerankRequest, response: RerankResponse | None) -> dict[str, object]:
        """Return what a span holds of the texts of a call."""
        return self._capture.attributes(request, response)

    def emit(self, record: SpanRecord) -> None:
        """Hand a span to the program's processors."""
        try:
            self._emit(record)
        except Exception as error:
            _log.warning("the program's tracer failed", error=type(error).__name__)

    def _emit(self, record: SpanRecord) -> None:
        from opentelemetry import trace as otel

        from rerankd.telemetry.setup import KINDS

        self._given.trace_id, self._given.span_id = record.trace_id, record.span_id
        span = self._tracer.start_span(
            record.name,
            _context_of(record, record.parent_id),
            KINDS[record.kind],
            record.attributes,
            start_time=record.started_ns,
        )
        for name, at_ns, attributes in record.events:
            span.add_event(name, attributes, at_ns)
        if record.error is not None:
            span.set_status(otel.Status(otel.StatusCode.ERROR, record.error))
        span.end(record.ended_ns)


def _context_of(record: SpanRecord, parent_id: int | None) -> Context:
    from opentelemetry import trace as otel
    from opentelemetry.context import Context

    if not parent_id:
        return Context()
    state = otel.TraceState.from_header([record.state]) if record.state else None
    sampled = otel.TraceFlags(otel.TraceFlags.SAMPLED)
    parent: SpanContext = otel.SpanContext(record.trace_id, parent_id, False, sampled, state)
    return otel.set_span_in_context(otel.NonRecordingSpan(parent), Context())
