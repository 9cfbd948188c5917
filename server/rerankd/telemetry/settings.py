"""What the operator can set of logs and traces. Where they are sent is said by the standard `OTEL_*` variables."""

from __future__ import annotations

import re
from typing import Literal

import msgspec


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    format: Literal["auto", "json", "pretty"] = "auto"
    """"auto" is pretty on a terminal and JSON elsewhere."""
    sample: float = 1.0
    """Share, 0 to 1, of the calls that get a line where they went well; failed and slow calls always get one."""


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of calls, in traces and metrics."""

    metrics: bool = True
    """Whether calls are counted, for `/metrics` and OTLP."""
    slow_call_ms: float = 2_000.0
    """Calls that take longer are logged and traced whatever the sampling says; 0 for none."""
    keeps_errors: bool = True
    """Whether failed calls are traced whatever the sampling says."""
    propagates: bool = True
    """Whether providers are told the trace context (`traceparent`, `tracestate`)."""
    openinference: bool = False
    """Whether spans have OpenInference's RERANKER attributes beside OpenTelemetry's."""
    captures_query: bool = False
    """Whether spans hold the text of queries."""
    captures_documents: bool = False
    """Whether spans hold the text of documents."""
    capture_max_chars: int = 1_000
    """Characters of one text that a span holds at most."""
    capture_max_documents: int = 20
    """Documents of one call that a span holds at most."""
    redact: list[str] = []
    """Regular expressions; what they match in a captured text is replaced by `***`."""
    max_models: int = 200
    """Distinct models, and deployments, that metrics name; further ones are counted together as `other`."""

    @property
    def captures(self) -> bool:
        """Whether anything of a call's texts is looked at for its spans."""
        return self.openinference or self.captures_query or self.captures_documents

    def problems(self) -> list[str]:
        """Say what is out of range."""
        found = [
            f"telemetry.{name} must not be negative, is {value}"
            for name in ("slow_call_ms", "capture_max_chars", "capture_max_documents", "max_models")
            if (value := getattr(self, name)) < 0
        ]
        for index, pattern in enumerate(self.redact):
            try:
                re.compile(pattern)
            except re.error as error:
                found.append(f"telemetry.redact[{index}] is not a regular expression: {error}")
        return found
