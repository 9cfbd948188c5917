"""What is sent by OTLP over gRPC is what the SDK's own encoder would send."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from rerankd.telemetry.otlp_spans import RecordExporter
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.setup import Spans
from rerankd.telemetry.trace import SpanRecord

RESOURCE = Resource({"service.name": "rerankd", "workers": 2}, "https://opentelemetry.io/schemas/1.38.0")
PLAIN = SpanRecord("rerank m", "internal", 2**127 + 1, "", 3, 2**63 + 5, 1_000, 2_000, {})
SPANS = [
    PLAIN,
    PLAIN._replace(kind="server", parent_id=None, links=[7, 2**64 - 1]),
    PLAIN._replace(kind="server", parent_id=7, state="vendor=1,other=2"),
    PLAIN._replace(kind="client", error="unavailable", attributes={"error.type": "unavailable"}),
    PLAIN._replace(attributes={"a": "text \N{SNOWMAN}", "b": 0, "c": -(2**63), "d": 0.25, "e": True, "f": ""}),
    PLAIN._replace(events=[("retry", 1_500, {"delay_ms": 0.5, "reason": "unavailable"}), ("hedge", 1_600, {})]),
]


class Taking(SpanExporter):
    """Keeps what the SDK's exporters are given."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.mark.parametrize("record", SPANS)
def test_a_span_is_written_as_the_sdk_would(record: SpanRecord) -> None:
    taking = Taking()
    spans = Spans(taking, TelemetrySettings(), RESOURCE, sampler=ALWAYS_ON)
    spans.emit(record)
    spans.close()
    exporter = RecordExporter()
    exporter.introduce(RESOURCE, taking.spans[0].instrumentation_scope)
    assert exporter._translate_data([record]) == encode_spans(taking.spans)
    assert exporter._translate_data([]).resource_spans[0].scope_spans[0].spans == []
    exporter.shutdown()


def test_spans_of_a_batch_come_in_order_below_one_resource() -> None:
    exporter = RecordExporter()
    exporter.introduce(RESOURCE, InstrumentationScope("rerankd", "1"))
    (resource,) = exporter._translate_data([PLAIN._replace(name=str(index)) for index in range(5)]).resource_spans
    (scope,) = resource.scope_spans
    assert [span.name for span in scope.spans] == ["0", "1", "2", "3", "4"]
    assert (scope.scope.name, resource.resource.attributes[0].value.string_value) == ("rerankd", "rerankd")
    exporter.shutdown()
