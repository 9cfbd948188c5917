"""Which calls are exported, and the spans that are made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd.telemetry.calls.server_span import ServerSpan, ServerTracing
from rerankd.telemetry.calls.trace_context import Parent, TracePolicy, current_span
from rerankd.telemetry.settings import TelemetrySettings
from rerankd.telemetry.tracing.call_spans import SpanRecord
from rerankd.telemetry.tracing.span_sink import SpanSink
from rerankd_adapters.base import AdapterErrorKind, ProviderCall, ProviderReply
from rerankd_adapters.call import Stage
from tests.support.engines import engine, failing
from tests.support.providers import Answer, ScriptedProvider, by_length

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


class Traced:
    """A recorded engine in a server that traces: keeps the spans it writes."""

    def __init__(self, answer: Answer = by_length, *, samples: bool = True, **settings: Any) -> None:
        self.spans: list[SpanRecord] = []
        self._samples = samples
        self._recorder = Recorder([SpanSink(self, TelemetrySettings(**settings), is_prompt=True)])
        self.tracing = ServerTracing(TracePolicy(self.sample), self._recorder.server_span_ended)
        self.service = RecordedService(engine([ScriptedProvider(model=answer)]), self._recorder)

    def sample(self, _trace_id: int, parent: Parent | None, _name: str) -> bool:
        return parent.is_sampled if parent else self._samples

    def write(self, span: SpanRecord) -> None:
        self.spans.append(span)

    def begin(self, **headers: str) -> ServerSpan:
        span = self.tracing.begin("server", headers)
        assert span is not None
        return span

    async def rerank(self, model: str = "", **context: Any) -> None:
        request = RerankRequest(query="q", documents=["a", "bb"], model=model)
        await self.service.rerank(request, CallContext("id", **context))


@pytest.fixture(autouse=True)
def nothing_current() -> Iterator[None]:
    yield
    current_span.set(None)


async def test_an_unsampled_call_is_not_exported_nor_its_server_span_described() -> None:
    def describe() -> dict[str, Any]:
        raise AssertionError

    traced = Traced()
    span = traced.begin(traceparent=TRACEPARENT)
    await traced.rerank()
    span.end(describe)
    assert traced.spans == []


async def test_a_slow_call_is_exported_although_it_is_not_sampled() -> None:
    traced = Traced(samples=False, slow_call_ms=0.000_001)
    traced.begin().end(dict, name="GET /x")
    assert [(span.name, span.parent_id) for span in traced.spans] == [("GET /x", 0)]


async def test_a_failed_server_span_is_exported_with_its_error() -> None:
    for keeps_errors in (True, False):
        traced = Traced(samples=False, keeps_errors=keeps_errors)
        traced.begin().end(lambda: {"a": 1}, error="500")
        wanted = [({"a": 1, "error.type": "500"}, "500")] if keeps_errors else []
        assert [(span.attributes, span.error) for span in traced.spans] == wanted


async def test_a_failed_call_is_exported_with_its_server_span() -> None:
    traced = Traced(failing(AdapterErrorKind.REJECTED), samples=False)
    span = traced.begin()
    with pytest.raises(ServiceError):
        await traced.rerank()
    span.end(dict)
    assert [(span.kind, span.error) for span in traced.spans] == [
        ("internal", "PROVIDER_REJECTED_REQUEST"),
        ("client", "rejected"),
        ("server", None),
    ]


async def test_items_of_a_batch_are_linked_up_to_128() -> None:
    traced = Traced()
    span = traced.begin()
    for _ in range(130):
        await traced.rerank(request_type="batch_rerank")
    span.end(dict)
    items = [each.span_id for each in traced.spans if each.kind == "internal"]
    assert len(items) == 130
    assert list(traced.spans[-1].links) == items[:128]


async def test_a_cancelled_call_has_its_spans() -> None:
    began = asyncio.Event()

    async def hang(_call: ProviderCall) -> ProviderReply:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    traced = Traced(hang)

    async def call() -> None:
        traced.begin()
        await traced.rerank()

    task = asyncio.create_task(call())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model, provider = traced.spans
    assert model.attributes["rerank.outcome"] == "CANCELLED"
    assert provider.attributes["rerank.outcome"] == "cancelled"
    assert provider.error is None


async def test_a_model_that_does_not_exist_has_a_span_without_calls() -> None:
    traced = Traced()
    traced.begin()
    with pytest.raises(ServiceError):
        await traced.rerank("no/such")
    (span,) = traced.spans
    assert span.name == "rerank no/such"
    assert span.attributes["error.type"] == "MODEL_NOT_FOUND"


async def test_stages_become_spans_that_follow_one_another() -> None:
    async def staged(_call: ProviderCall) -> ProviderReply:
        stages = [Stage("lexical", "words", 2, 1.0), Stage("cross-encoder", "net", 1, 2.0)]
        return ProviderReply(indices=[0, 1], scores=[0.1, 0.2], stages=stages)

    traced = Traced(staged)
    traced.begin()
    await traced.rerank()
    call = next(span for span in traced.spans if span.kind == "client")
    stages = sorted((span for span in traced.spans if span.parent_id == call.span_id), key=lambda span: span.ended_ns)
    assert [span.name for span in stages] == ["stage lexical", "stage cross-encoder"]
    assert stages[0].ended_ns == stages[1].started_ns
    assert stages[1].ended_ns == call.ended_ns
    assert call.started_ns <= stages[0].started_ns


@pytest.mark.parametrize("captures", [False, True])
async def test_texts_are_captured_only_when_asked_for(captures: bool) -> None:
    traced = Traced(captures_query=captures)
    traced.begin()
    await traced.rerank()
    assert traced.spans[0].attributes.get("reranker.query") == ("q" if captures else None)
