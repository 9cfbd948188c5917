"""What a host program's tracer provider is given of a call in its process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from structlog.testing import capture_logs

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd.telemetry.calls.trace_context import current_span, trace_headers
from rerankd.telemetry.host_tracer import HostTracing, calling_span
from rerankd.telemetry.settings import TelemetrySettings
from tests.support.engines import engine, failing, in_turn
from tests.support.providers import ScriptedProvider, by_length


@pytest.fixture(autouse=True)
def nothing_current() -> Iterator[None]:
    yield
    current_span.set(None)


def provider_of(sampler: Sampler, *processors: SpanProcessor) -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    for processor in (*processors, SimpleSpanProcessor(exporter)):
        provider.add_span_processor(processor)
    return provider, exporter


async def call(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider, *answers: Any) -> None:
    monkeypatch.setattr(otel, "get_tracer_provider", lambda: provider)
    tracing = HostTracing(TelemetrySettings(slow_call_ms=0.001), {})
    tracing.begin(None)
    assert tracing.sink is not None
    retries = {"*": {"retries": {"max_attempts": 2, "initial_delay_ms": 0.1}}}
    scripted = ScriptedProvider(model=in_turn(*answers))
    await RecordedService(engine([scripted], retries), Recorder([tracing.sink])).rerank(
        RerankRequest(query="q", documents=["a", "bb"]), CallContext("id")
    )


async def test_events_errors_and_times_are_those_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, exporter = provider_of(ALWAYS_ON)
    await call(monkeypatch, provider, failing(), by_length)
    model, failed, answered = exporter.get_finished_spans()
    assert [span.name for span in (model, failed, answered)] == ["rerank scripted/model", *["rerank model"] * 2]
    assert model.parent is None
    assert [event.name for event in model.events] == ["retry"]
    assert model.start_time is not None
    assert model.end_time is not None
    assert model.start_time <= model.events[0].timestamp <= model.end_time
    assert (failed.status.status_code, failed.status.description) == (otel.StatusCode.ERROR, "unavailable")
    assert answered.status.is_unset
    assert {span.parent.span_id for span in (failed, answered) if span.parent} == {model.context.span_id}
    assert len({span.context.trace_id for span in (model, failed, answered)}) == 1


async def test_what_the_program_samples_out_is_not_kept_even_when_it_fails_or_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, exporter = provider_of(ALWAYS_OFF)
    with pytest.raises(ServiceError):
        await call(monkeypatch, provider, failing())
    assert trace_headers()["traceparent"].endswith("-00")
    assert exporter.get_finished_spans() == ()


async def test_a_processor_that_fails_fails_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("full")

    provider, _ = provider_of(ALWAYS_ON, Failing())
    await call(monkeypatch, provider, by_length)


def test_no_span_and_a_span_that_is_none() -> None:
    assert calling_span() is None
    with otel.use_span(otel.INVALID_SPAN):
        assert calling_span() is None


def test_variables_that_cannot_be_used_keep_no_spans_and_fail_nothing() -> None:
    with capture_logs() as said:
        tracing = HostTracing(TelemetrySettings(), {"OTEL_TRACES_EXPORTER": "zipkin"})
        tracing.begin(None)
        assert trace_headers() == {}
        tracing.close()
    assert "OTEL_TRACES_EXPORTER must be" in said[0]["problem"]
