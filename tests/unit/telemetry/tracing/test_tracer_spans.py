"""What OpenTelemetry's SDK makes of a span record, and how its samplers are asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from structlog.testing import capture_logs

from rerankd.telemetry.calls.trace_context import Parent
from rerankd.telemetry.metrics.instruments import metrics
from rerankd.telemetry.tracing.call_spans import SpanRecord
from rerankd.telemetry.tracing.own_tracer import OwnTracer
from rerankd.telemetry.tracing.tracer_spans import ask_sampler

RESOURCE = Resource({"service.name": "rerankd"})
PLAIN = SpanRecord("rerank m", "internal", 2**127 + 1, "", 3, 2**63 + 5, 1_000, 2_000, {})


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def export(exported: InMemorySpanExporter, *records: SpanRecord, **environ: str) -> Sequence[ReadableSpan]:
    tracer = OwnTracer(exported, RESOURCE, environ)
    for record in records:
        tracer.spans.write(record)
    tracer.close()
    return exported.get_finished_spans()


def test_a_span_has_the_ids_times_and_facts_of_its_record(exported: InMemorySpanExporter) -> None:
    attributes = {"a": "text \N{SNOWMAN}", "b": 0, "c": -(2**63), "d": 0.25, "e": True, "f": ""}
    events = [("retry", 1_500, {"delay_ms": 0.5}), ("hedge", 1_600, {})]
    plain, failed = export(
        exported,
        PLAIN._replace(attributes=attributes, events=events),
        PLAIN._replace(kind="client", span_id=4, error="unavailable"),
    )
    assert (plain.name, plain.kind, plain.resource) == ("rerank m", otel.SpanKind.INTERNAL, RESOURCE)
    assert (plain.context.trace_id, plain.context.span_id) == (2**127 + 1, 3)
    assert plain.parent is not None
    assert (plain.parent.span_id, plain.parent.is_remote) == (2**63 + 5, False)
    assert (plain.start_time, plain.end_time) == (1_000, 2_000)
    assert dict(plain.attributes or {}) == attributes
    assert [(each.name, each.timestamp, dict(each.attributes or {})) for each in plain.events] == events
    assert plain.status.is_unset
    assert (failed.kind, failed.context.span_id) == (otel.SpanKind.CLIENT, 4)
    assert (failed.status.status_code, failed.status.description) == (otel.StatusCode.ERROR, "unavailable")


def test_a_servers_span_has_its_remote_parent_state_and_links(exported: InMemorySpanExporter) -> None:
    root, child = export(
        exported,
        PLAIN._replace(kind="server", parent_id=0, links=[7, 2**64 - 1]),
        PLAIN._replace(kind="server", parent_id=7, state="vendor=1,other=2"),
    )
    assert root.parent is None
    assert [link.context.span_id for link in root.links] == [7, 2**64 - 1]
    assert child.parent is not None
    assert child.parent.is_remote
    assert child.context.trace_state.to_header() == "vendor=1,other=2"


@pytest.mark.parametrize(("environ", "kept"), [({}, 200), ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "10"}, 10)])
def test_captured_documents_are_all_kept_unless_a_variable_limits_them(
    exported: InMemorySpanExporter, environ: dict[str, str], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (span,) = export(exported, PLAIN._replace(attributes={f"key-{index}": index for index in range(200)}), **environ)
    assert len(span.attributes or {}) == kept


class Unreachable(SpanExporter):
    """An exporter whose collector does not answer."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE


def count(result: str) -> float:
    return metrics.registry.get_sample_value("rerankd_spans_total", {"result": result}) or 0.0


def test_spans_are_counted_and_an_unreachable_collector_is_logged_once(exported: InMemorySpanExporter) -> None:
    before = count("exported"), count("dropped")
    export(exported, *[PLAIN] * 3)
    tracer = OwnTracer(Unreachable(), RESOURCE, {}, queue_size=600)
    with capture_logs() as logged:
        for _ in range(605):
            tracer.spans.write(PLAIN)
        tracer.close()
    assert count("exported") == before[0] + 3
    assert count("dropped") == before[1] + 605, "beyond the queue, and what could not be sent"
    assert [line["event"].partition(";")[0] for line in logged] == ["spans cannot be exported"]


@pytest.mark.parametrize(
    ("sampler", "wanted"),
    [
        (ALWAYS_ON, (True, True, True)),
        (ALWAYS_OFF, (False, False, False)),
        (ParentBased(ALWAYS_ON), (True, True, False)),
        (ParentBased(ALWAYS_OFF), (False, True, False)),
        (ParentBased(TraceIdRatioBased(0.5)), (True, True, False)),
        (TraceIdRatioBased(0.0), (False, False, False)),
    ],
    ids=lambda given: given.get_description() if isinstance(given, Sampler) else "",
)
def test_a_sampler_is_asked_with_the_callers_decision(sampler: Sampler, wanted: tuple[bool, bool, bool]) -> None:
    parents = (None, Parent(1, 2, True, ""), Parent(1, 2, False, "vendor=1"))
    assert tuple(ask_sampler(sampler, 1, parent, "x") for parent in parents) == wanted


def test_a_share_of_roots_is_sampled() -> None:
    sampler = ParentBased(TraceIdRatioBased(0.25))
    ids = [index << 58 for index in range(1, 64)]
    assert sum(ask_sampler(sampler, trace_id, None, "x") for trace_id in ids) == 15
