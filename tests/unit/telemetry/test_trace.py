"""Trace context in and out, and which calls are exported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.telemetry.recording import RecordedService
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.trace import Parent, SpanRecord, Trace, active, begin, install, trace_headers
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from rerankd_adapters.call import Stage
from tests.support.providers import ScriptedProvider

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Kept:
    """A sink that keeps what it gets; samples when its caller did, or always."""

    is_prompt = True

    def __init__(self, *, samples_roots: bool = True, **options: Any) -> None:
        self.options = TelemetrySettings(**options)
        self.spans: list[SpanRecord] = []
        self._samples_roots = samples_roots

    def samples(self, trace_id: int, parent: Parent | None, name: str) -> bool:
        return parent.is_sampled if parent else self._samples_roots

    def capture(self, request: RerankRequest, response: RerankResponse | None) -> dict[str, Any]:
        return {}

    def emit(self, span: SpanRecord) -> None:
        self.spans.append(span)


@pytest.fixture(autouse=True)
def no_sink() -> Iterator[None]:
    yield
    install(None)
    active.set(None)


def open_sink(**options: Any) -> Kept:
    sink = Kept(**options)
    install(sink)
    return sink


def finish(trace: Trace) -> None:
    if trace.end(is_error=False):
        trace.finish({})


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        "nonsense",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-0g",
        "\N{SNOWMAN}" * 55,
    ],
)
def test_a_context_that_is_none_is_not_taken_over(given: str) -> None:
    assert begin("x", {"traceparent": given}) is None
    assert trace_headers() == {}
    sink = open_sink()
    trace = begin("x", {"traceparent": given})
    assert trace is not None
    assert f"{trace.trace_id:032x}" != TRACE_ID
    finish(trace)
    assert sink.spans[0].parent_id is None


def test_without_exporters_a_context_goes_through_unchanged() -> None:
    assert begin("x", {}) is None
    begin("x", {"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    assert trace_headers() == {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}


@pytest.mark.parametrize("state", ["x" * 513, "bad\nstate", "st\u00e4te"])
def test_a_bad_tracestate_is_dropped_alone(state: str) -> None:
    begin("x", {"traceparent": TRACEPARENT, "tracestate": state})
    assert trace_headers() == {"traceparent": TRACEPARENT}


def test_a_later_version_and_an_unsampled_caller_are_understood() -> None:
    sink = open_sink(keeps_errors=False)
    trace = begin("x", {"traceparent": f"01-{TRACE_ID}-{SPAN_ID}-00-more"})
    assert trace is not None
    assert not trace.is_sampled
    assert trace_headers()["traceparent"] == f"00-{TRACE_ID}-{trace.span_id:016x}-00"
    finish(trace)
    assert sink.spans == []


def test_providers_are_told_nothing_when_propagation_is_off() -> None:
    for sink in (None, Kept(propagates=False)):
        install(sink, propagates=False)
        begin("x", {"traceparent": TRACEPARENT})
        assert trace_headers() == {}


def test_slow_calls_are_exported_although_sampling_left_them_out() -> None:
    sink = open_sink(samples_roots=False, slow_call_ms=0.000_001)
    trace = begin("x", {})
    assert trace is not None
    finish(trace)
    assert [span.name for span in sink.spans] == ["x"]


async def refuse(call: ProviderCall) -> ProviderReply:
    raise AdapterError(AdapterErrorKind.REJECTED, "no")


async def hang(call: ProviderCall) -> ProviderReply:
    await asyncio.Event().wait()
    raise AssertionError


def engine(**answers: Any) -> RecordedService:
    router = Router([ScriptedProvider(**answers)], default_model="scripted/model")
    return RecordedService(Engine(router, RequestLimits()))


def request(model: str = "") -> RerankRequest:
    return RerankRequest(query="q", documents=["a", "bb"], model=model)


async def test_a_failed_item_keeps_its_spans_and_its_servers() -> None:
    sink = open_sink(samples_roots=False)
    trace = begin("server", {})
    assert trace is not None
    with pytest.raises(ServiceError):
        await engine(model=refuse).rerank(request(), CallContext("id"))
    finish(trace)
    assert [(span.kind, span.error) for span in sink.spans] == [
        ("internal", "PROVIDER_REJECTED_REQUEST"),
        ("client", "rejected"),
        ("server", None),
    ]


async def test_a_cancelled_call_ends_its_spans() -> None:
    sink = open_sink()
    began = asyncio.Event()

    async def hang_visibly(call: ProviderCall) -> ProviderReply:
        began.set()
        return await hang(call)

    async def call() -> None:
        begin("server", {})
        await engine(model=hang_visibly).rerank(request(), CallContext("id"))

    task = asyncio.create_task(call())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model, provider = sink.spans
    assert model.attributes["rerank.outcome"] == "CANCELLED"
    assert provider.attributes["rerank.outcome"] == "cancelled"
    assert provider.error is None


async def test_a_model_that_is_not_there_has_a_span_without_calls() -> None:
    sink = open_sink()
    begin("server", {})
    with pytest.raises(ServiceError):
        await engine().rerank(request("no/such"), CallContext("id"))
    (span,) = sink.spans
    assert span.name == "rerank no/such"
    assert span.attributes["error.type"] == "MODEL_NOT_FOUND"


async def test_stages_become_spans_that_follow_one_another() -> None:
    async def staged(call: ProviderCall) -> ProviderReply:
        stages = [Stage("lexical", "words", 2, 1.0), Stage("cross-encoder", "net", 1, 2.0)]
        return ProviderReply(indices=[0, 1], scores=[0.1, 0.2], stages=stages)

    sink = open_sink()
    begin("server", {})
    await engine(model=staged).rerank(request(), CallContext("id"))
    call = next(span for span in sink.spans if span.kind == "client")
    stages = sorted((span for span in sink.spans if span.parent_id == call.span_id), key=lambda span: span.ended_ns)
    assert [span.name for span in stages] == ["stage lexical", "stage cross-encoder"]
    assert stages[0].ended_ns == stages[1].started_ns
    assert stages[1].ended_ns == call.ended_ns
    assert call.started_ns <= stages[0].started_ns
