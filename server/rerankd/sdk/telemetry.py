"""The telemetry of an engine embedded in a program: log lines, and spans where the program traces."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rerankd.telemetry.calls.recorder import Recorder, Sink
from rerankd.telemetry.host_tracer import HostTracing
from rerankd.telemetry.log_line_sink import LogLineSink
from rerankd.telemetry.settings import LogSettings, TelemetrySettings


class EmbeddedTelemetry:
    """The telemetry of one embedded engine. Whoever opened it closes it.

    Calls are not counted: a program has no `/metrics`.

    Args:
        settings: Which calls are exported, and what of them.
        log: Which calls are logged.
        environ: Where the standard `OTEL_*` variables are looked up.
    """

    def __init__(self, settings: TelemetrySettings, log: LogSettings, environ: Mapping[str, str]) -> None:
        self.tracing = HostTracing(settings, environ)
        """Begins the trace of each call."""
        sinks: list[Sink] = [LogLineSink(log.sample, settings.slow_call_ms)]
        if self.tracing.sink is not None:
            sinks.append(self.tracing.sink)
        self.recorder = Recorder(sinks)
        """Takes the calls."""
        self._pid = os.getpid()

    def close(self) -> None:
        """Hand over all calls that have ended and send what waits, for three seconds at most; blocks meanwhile.

        Does nothing in a forked child: the calls are the parent's, whose threads may hold locks of the copy.
        """
        if os.getpid() == self._pid:
            self.recorder.flush()
            self.tracing.close()
