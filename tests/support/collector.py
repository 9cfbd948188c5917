"""An OpenTelemetry collector on the loopback interface: keeps what it is sent over OTLP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

from tests.support.canary import METRICS, SPANS, hear

_KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass
class ReceivedSpan:
    """One span as it came."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    links: list[str]
    is_error: bool
    resource: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float:
        return (self.ended_ns - self.started_ns) / 1e6


class Collector:
    """Receives traces and metrics over gRPC, and traces over HTTP, while its context is open."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.metrics: dict[str, Any] = {}
        self.raw: list[bytes] = []
        self._grew = threading.Condition()

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        collector = self

        class Traces(trace_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
                collector._take_spans(request)
                return trace_pb.ExportTraceServiceResponse()

        class Metrics(metrics_grpc.MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
                collector._take_metrics(request)
                return metrics_pb.ExportMetricsServiceResponse()

        class Http(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector._take_spans(trace_pb.ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        trace_grpc.add_TraceServiceServicer_to_server(Traces(), self._server)  # type: ignore[no-untyped-call]  # the library's
        metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]  # the library's
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        self.http_url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait(5)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the variables that have a server send its spans here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **variables,
        }

    def wait_for(self, is_there: Callable[[list[ReceivedSpan]], bool], timeout_s: float = 20.0) -> list[ReceivedSpan]:
        """Return all spans once they are as wanted."""
        give_up_s = time.monotonic() + timeout_s
        with self._grew:
            while not is_there(self.spans):
                if not self._grew.wait(max(0.0, give_up_s - time.monotonic())):
                    raise AssertionError(f"spans that came: {[(span.name, span.kind) for span in self.spans]}")
            return list(self.spans)

    def wait_for_metric(self, name: str, timeout_s: float = 20.0) -> Any:
        """Return a metric once it came."""
        give_up_s = time.monotonic() + timeout_s
        with self._grew:
            while name not in self.metrics:
                if not self._grew.wait(max(0.0, give_up_s - time.monotonic())):
                    raise AssertionError(f"metrics that came: {sorted(self.metrics)}")
            return self.metrics[name]

    def _take_spans(self, request: Any) -> None:
        found = [
            _span(span, _values(group.resource.attributes))
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        hear(SPANS, raw := request.SerializeToString())
        with self._grew:
            self.raw.append(raw)
            self.spans += found
            self._grew.notify_all()

    def _take_metrics(self, request: Any) -> None:
        hear(METRICS, raw := request.SerializeToString())
        with self._grew:
            self.raw.append(raw)
            for group in request.resource_metrics:
                for scope in group.scope_metrics:
                    self.metrics |= {metric.name: metric for metric in scope.metrics}
            self._grew.notify_all()


def _span(span: Any, resource: dict[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=_KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        events=[(event.name, _values(event.attributes)) for event in span.events],
        links=[link.span_id.hex() for link in span.links],
        is_error=span.status.code == 2,
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
