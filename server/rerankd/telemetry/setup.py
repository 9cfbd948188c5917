"""Puts the telemetry of a process together: recorder, sinks, tracing, exporters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Final

from rerankd.telemetry.calls.recorder import Recorder, Sink
from rerankd.telemetry.calls.server_span import ServerTracing
from rerankd.telemetry.calls.trace_context import TracePolicy
from rerankd.telemetry.exporters import open_exports
from rerankd.telemetry.log_line_sink import LogLineSink
from rerankd.telemetry.metrics.instruments import metrics
from rerankd.telemetry.metrics_sink import MetricsSink
from rerankd.telemetry.settings import LogSettings, TelemetrySettings
from rerankd.telemetry.tracing.span_sink import SpanSink

_CLOSE_TIMEOUT_S: Final = 3.0


class Telemetry:
    """The telemetry of one server process. Whoever opened it closes it.

    Args:
        settings: Which calls are exported, and what of them.
        log: Which calls are logged.
        environ: Where the standard `OTEL_*` variables are looked up.

    Raises:
        TelemetrySettingsError: A variable names an unknown exporter or protocol, or is not a number.
    """

    def __init__(self, settings: TelemetrySettings, log: LogSettings, environ: Mapping[str, str]) -> None:
        metrics.keep(is_kept=settings.metrics)
        metrics.model.limit = metrics.deployment.limit = settings.max_models
        metrics.build.of(metadata.version("rerankd")).set(1)
        tracer, push = open_exports(environ)
        self._closers: list[Callable[[], None]] = [each.close for each in (tracer, push) if each is not None]
        self._log_lines = LogLineSink(log.sample, settings.slow_call_ms)
        sinks: list[Sink] = [MetricsSink()] if settings.metrics else []
        sinks.append(self._log_lines)
        if tracer is not None:
            sinks.append(SpanSink(tracer.spans, settings))
        self.recorder = Recorder(sinks)
        """Takes the calls."""
        policy = TracePolicy(None if tracer is None else tracer.sample, settings.propagates)
        self.tracing = ServerTracing(policy, self.recorder.server_span_ended, self.recorder.refused)
        """What the transports tell of requests."""

    def reload(self, log: LogSettings) -> None:
        """Take up what can change without a restart: the share of calls that are logged."""
        self._log_lines.sample = log.sample

    async def close(self) -> None:
        """Hand over all calls that have ended and send what waits, for three seconds at most."""
        self.recorder.flush()
        await asyncio.to_thread(close_all, self._closers)


def close_all(closers: Sequence[Callable[[], None]]) -> None:
    """Call each closer in turn, for three seconds at most; blocks meanwhile.

    At exit, where Python 3.12 and later start no threads, it takes as long as the closers do.
    """

    def close() -> None:
        for each in closers:
            each()

    closing = threading.Thread(target=close, daemon=True)
    try:
        closing.start()
    except RuntimeError:
        close()
        return
    closing.join(_CLOSE_TIMEOUT_S)
