"""The sections `log` and `telemetry` of the settings; the standard `OTEL_*` variables say where spans go."""

from __future__ import annotations

import re
from typing import Literal

import msgspec


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `log`: which lines are written, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    format: Literal["auto", "json", "pretty"] = "auto"
    """"auto" is pretty on a terminal and JSON elsewhere."""
    sample: float = 1.0
    """Share, 0 to 1, of successful calls that get a line; failed and slow calls always get one."""


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `telemetry`: metrics and spans of calls."""

    metrics: bool = True
    """Whether calls are counted, for `/metrics` and OTLP."""
    slow_call_ms: float = 2_000.0
    """Calls that take at least so long are logged and traced even where sampling leaves them out; 0: none."""
    keeps_errors: bool = True
    """Whether failed calls are traced even where sampling leaves them out."""
    propagates: bool = True
    """Whether providers are told the trace context (`traceparent`, `tracestate`)."""
    openinference: bool = False
    """Whether spans have OpenInference's RERANKER attributes in addition to OpenTelemetry's."""
    captures_query: bool = False
    """Whether spans hold the text of queries."""
    captures_documents: bool = False
    """Whether spans hold the text of documents."""
    capture_max_chars: int = 1_000
    """Longest captured text, in characters; longer ones are cut."""
    capture_max_documents: int = 20
    """Most documents captured of one call."""
    redact: list[str] = []
    """Regular expressions; what they match in a captured text is replaced by `***`."""
    max_models: int = 200
    """Distinct values of the labels `model` and `deployment`, each; further ones, and names that neither settings nor a
    provider have, are counted as `other`."""

    @property
    def captures(self) -> bool:
        """Whether spans need the request and the response of a call."""
        return self.openinference or self.captures_query or self.captures_documents

    def problems(self) -> list[str]:
        """List the values that are out of range, each as a sentence that names its key."""
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
