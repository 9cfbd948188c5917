"""Tracing of an engine embedded in a program: the program's span is the parent, its tracer provider takes our spans."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from rerankd.telemetry.calls.trace_context import Parent, TraceContext, TracePolicy, current_span
from rerankd.telemetry.names import MODEL_SPAN, SERVICE_NAME
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.tracing.call_spans import SpanRecord
from rerankd.telemetry.tracing.span_sink import SpanSink

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from rerankd.telemetry.tracing.own_tracer import OwnTracer

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
    """Where the spans of one embedded engine go. For one event loop; whoever opened it closes it.

    They go to the program's tracer provider where it has set one of the SDK's by now, else where the `OTEL_*`
    variables say. OpenTelemetry is imported only where one of the two is the case.

    Args:
        settings: Which calls are exported.
        environ: The variables.
    """

    def __init__(self, settings: TelemetrySettings, environ: Mapping[str, str]) -> None:
        self.sink: SpanSink | None = None
        """Takes ended calls; `None` where no spans are exported."""
        self._close: Callable[[], None] | None = None
        self._policy = TracePolicy(None, settings.propagates)
        if provider := _host_provider():
            spans = HostTracerSpans(provider)
            self._policy = TracePolicy(spans.sample, settings.propagates)
            # The program's sampler decides alone, and the program may end at once.
            decided = msgspec.structs.replace(settings, keeps_errors=False, slow_call_ms=0)
            self.sink = SpanSink(spans, decided, is_prompt=True)
        elif any(name.startswith("OTEL_") for name in environ) and (own := _open_own(environ)):
            self._policy = TracePolicy(own.sample, settings.propagates)
            self.sink = SpanSink(own.spans, settings)
            self._close = own.close

    def begin(self, parent: Parent | None) -> None:
        """Make what the running task does from now on a child of `parent`; without one, calls are roots."""
        if self.sink is not None or (parent is not None and self._policy.propagates):
            begin_within(parent, self._policy)

    def close(self) -> None:
        """Send what waits, for three seconds at most; blocks meanwhile."""
        if self._close is not None:
            from rerankd.telemetry.setup import close_all

            close_all([self._close])


def begin_within(parent: Parent | None, policy: TracePolicy) -> None:
    """Run the task in a span that is not ours, or in none: its calls are children of `parent`, or roots."""
    current_span.set(TraceContext(MODEL_SPAN, parent, policy, parent.span_id if parent else 0))


def _host_provider() -> TracerProvider | None:
    if _SDK not in sys.modules:
        return None
    from opentelemetry import trace as otel
    from opentelemetry.sdk.trace import TracerProvider

    provider = otel.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _open_own(environ: Mapping[str, str]) -> OwnTracer | None:
    from rerankd.telemetry.exporters import TelemetrySettingsError, open_tracer

    try:
        return open_tracer(environ)
    except TelemetrySettingsError as error:
        _log.warning("spans are not kept", problem=str(error))
        return None


class HostTracerSpans:
    """Writes spans through a tracer of the program's provider. For one thread at a time. Satisfies `SpanWriter`.

    The provider's processors run in the engine's thread: one that sends each span at once delays other calls.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.sdk.trace import Tracer

        from rerankd.telemetry.tracing.tracer_spans import GivenIds, TracerSpans

        self._sampler = provider.sampler
        ids = GivenIds()
        tracer = provider.get_tracer(SERVICE_NAME, metadata.version("rerankd"))
        if isinstance(tracer, Tracer):
            tracer.id_generator = ids
        self._spans = TracerSpans(tracer, ids)

    def sample(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        """Ask the program's sampler whether a trace is sampled."""
        from rerankd.telemetry.tracing.tracer_spans import ask_sampler

        return ask_sampler(self._sampler, trace_id, parent, name)

    def write(self, span: SpanRecord) -> None:
        """Hand a span to the program's processors, whose errors are logged."""
        try:
            self._spans.write(span)
        except Exception as error:  # code of the embedding program, which may raise anything
            _log.warning("the program's tracer failed", error=type(error).__name__)
