"""The exporters that the standard `OTEL_*` variables name; OpenTelemetry's SDK is imported where one does."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rerankd.telemetry.names import SERVICE_NAME

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from rerankd.telemetry.metrics.otlp_metrics import MetricsPush
    from rerankd.telemetry.tracing.own_tracer import OwnTracer

_EXPORTERS: Final = {
    ("traces", "grpc"): ("opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "OTLPSpanExporter"),
    ("traces", "http/protobuf"): ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
    ("metrics", "grpc"): ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "OTLPMetricExporter"),
    ("metrics", "http/protobuf"): ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "OTLPMetricExporter"),
}
_METRIC_INTERVAL_MS: Final = 60_000


class TelemetrySettingsError(Exception):
    """The `OTEL_*` variables cannot be used; the message says which and why."""


class Exports(NamedTuple):
    """What sends telemetry out of this process; `None` unless a variable asks for it."""

    tracer: OwnTracer | None
    push: MetricsPush | None


def open_exports(environ: Mapping[str, str]) -> Exports:
    """Open what sends spans and what sends metrics, which describe this process alike.

    Raises:
        TelemetrySettingsError: A variable names an unknown exporter or protocol, or is not a number.
    """
    spans, metrics = _open_exporter("traces", environ), _open_exporter("metrics", environ)
    if spans is None and metrics is None:
        return Exports(None, None)
    resource = _describe_process(environ)
    tracer = None if spans is None else _open_tracer(spans, resource, environ)
    return Exports(tracer, None if metrics is None else _open_push(metrics, resource, environ))


def open_tracer(environ: Mapping[str, str]) -> OwnTracer | None:
    """Open what sends spans; `None` unless a variable asks for it.

    Raises:
        TelemetrySettingsError: As `open_exports`.
    """
    exporter = _open_exporter("traces", environ)
    return None if exporter is None else _open_tracer(exporter, _describe_process(environ), environ)


def _open_tracer(exporter: Any, resource: Resource, environ: Mapping[str, str]) -> OwnTracer:
    from rerankd.telemetry.tracing.own_tracer import QUEUE_SIZE, OwnTracer

    return OwnTracer(exporter, resource, environ, _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE))


def _open_push(exporter: Any, resource: Resource, environ: Mapping[str, str]) -> MetricsPush:
    from rerankd.telemetry.metrics.otlp_metrics import MetricsPush

    return MetricsPush(exporter, resource, _number(environ, "OTEL_METRIC_EXPORT_INTERVAL", _METRIC_INTERVAL_MS) / 1000)


def _describe_process(environ: Mapping[str, str]) -> Resource:
    """Describe this process where the variables do not; each worker is an instance of its own."""
    from opentelemetry.sdk.resources import Resource

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
        return _console(signal)
    if chosen != "otlp":
        raise TelemetrySettingsError(f"OTEL_{signal.upper()}_EXPORTER must be otlp, console or none, is {chosen}")
    return _open_otlp(signal, environ)


def _console(signal: str) -> Any:
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ConsoleSpanExporter() if signal == "traces" else ConsoleMetricExporter()


def _open_otlp(signal: str, environ: Mapping[str, str]) -> Any:
    own_protocol = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    protocol = environ.get(own_protocol) or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    if (signal, protocol) not in _EXPORTERS:
        raise TelemetrySettingsError(f"{own_protocol} must be grpc or http/protobuf, is {protocol}")
    for noisy in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # an unreachable collector is logged once, by us
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
