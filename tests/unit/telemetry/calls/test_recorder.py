"""What sinks are given of calls, and what becomes of their faults."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine.rendering import render_plain
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch, Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd.telemetry.calls.watches import AttemptWatch
from rerankd.telemetry.metrics.instruments import metrics
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import engine, failing, hanging, in_turn
from tests.support.providers import ScriptedProvider, by_length
from tests.support.waiting import settle

REQUEST = RerankRequest(query="q", documents=["a", "bb"], model="m")


class Kept:
    """A sink that keeps what it gets."""

    name = "kept"

    def __init__(self, *, needs_texts: bool = False, is_prompt: bool = False) -> None:
        self.needs_texts = (lambda record: True) if needs_texts else None
        self.is_prompt = is_prompt
        self.batches: list[EndedBatch] = []

    @property
    def calls(self) -> list[CallRecord]:
        return [call for batch in self.batches for call in batch.calls]

    def consume(self, batch: EndedBatch) -> None:
        self.batches.append(batch)


class Broken(Kept):
    """A sink that fails until it is mended."""

    name = "broken"

    def __init__(self) -> None:
        super().__init__()
        self.is_mended = False

    def consume(self, batch: EndedBatch) -> None:
        if not self.is_mended:
            raise RuntimeError("full")
        super().consume(batch)


class Stored(Kept):
    """A durable sink that stores what it consumed when it is told to."""

    name = "stored"

    def __init__(self) -> None:
        super().__init__()
        self.may_store = asyncio.Event()
        self.stored: list[str] = []

    def stores(self, record: CallRecord) -> bool:
        return record.call.request_id != "other"

    async def sync(self) -> None:
        consumed = [record.call.request_id for record in self.calls]
        await self.may_store.wait()
        self.stored = consumed


def recorded(
    recorder: Recorder, providers: list[ScriptedProvider], models: dict[str, Any] | None = None
) -> RecordedService:
    return RecordedService(engine(providers, models), recorder)


async def broken(_call: ProviderCall) -> ProviderReply:
    raise ZeroDivisionError


def errors_of(sink: str) -> float:
    return metrics.registry.get_sample_value("rerankd_sink_errors_total", {"sink": sink}) or 0.0


async def test_ended_calls_come_in_batches_with_their_facts() -> None:
    sink = Kept()
    recorder = Recorder([sink])
    opened = recorded(recorder, [ScriptedProvider(model=by_length)])
    for number in range(2):
        await opened.rerank(RerankRequest(query="q", documents=["a", "bb"], user="u"), CallContext(f"id-{number}"))
    assert sink.batches == []
    recorder.flush()
    (batch,) = sink.batches
    assert [record.call.request_id for record in batch.calls] == ["id-0", "id-1"]
    record = batch.calls[0]
    assert (record.model, record.provider, record.deployment) == (
        "scripted/model",
        "scripted",
        "scripted/model",
    )
    assert (record.code, record.reason, record.documents, record.chunks, record.user) == (Code.OK, None, 2, 1, "u")
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.number, attempt.chunk_index, attempt.documents) == ("ok", 1, 0, 2)
    assert 0 < attempt.elapsed_s <= record.provider_s <= record.elapsed_s


async def test_retries_hedges_and_fallbacks_are_noted_in_order() -> None:
    sink = Kept()
    recorder = Recorder([sink])
    providers = [ScriptedProvider(model=failing()), ScriptedProvider(name="other", model=by_length)]
    models = {
        "first": {
            "deployments": [{"model": "scripted/model"}],
            "retries": {"max_attempts": 2, "initial_delay_ms": 0.1},
            "fallbacks": ["other/model"],
        }
    }
    request = RerankRequest(query="q", documents=["a"], model="first")
    await recorded(recorder, providers, models).rerank(request, CallContext("id"))
    recorder.flush()
    (record,) = sink.calls
    assert [type(event).__name__ for event in record.events] == ["Retry", "Fallback"]
    assert (record.retries, record.hedges, record.fallbacks) == (1, 0, 1)
    assert [attempt.outcome for attempt in record.attempts] == ["unavailable", "unavailable", "ok"]
    assert record.model == "other/model"


async def test_a_refused_call_has_a_record_without_a_model() -> None:
    sink = Kept()
    recorder = Recorder([sink])
    record = recorder.begin(REQUEST, CallContext("id"))
    assert recorder.in_flight == 1
    record.failed(Reason.RATE_LIMITED, Code.RESOURCE_EXHAUSTED)
    record.failed(Reason.INTERNAL, Code.INTERNAL)
    record.answered(RerankResponse(model="m"))
    assert recorder.in_flight == 0
    recorder.flush()
    (ended,) = sink.calls
    assert (ended.model, ended.provider, ended.requested_model, ended.documents) == ("", "", "m", 2)
    assert (ended.reason, ended.code, ended.attempts) == (Reason.RATE_LIMITED, Code.RESOURCE_EXHAUSTED, [])


async def test_texts_are_released_when_a_call_ends_unless_a_sink_needs_them() -> None:
    for needs_texts in (False, True):
        sink = Kept(needs_texts=needs_texts)
        recorder = Recorder([sink])
        record = recorder.begin(REQUEST, CallContext("id"))
        response = RerankResponse(model="m")
        texts = record.texts = render_plain(REQUEST)
        record.answered(response)
        recorder.flush()
        assert (record.request, record.texts) == ((REQUEST, texts) if needs_texts else (None, None))
        assert record.response is (response if needs_texts else None)


async def test_a_consumed_record_is_freed_without_a_garbage_collection() -> None:
    recorder = Recorder(delay_s=0)
    opened = recorded(recorder, [ScriptedProvider(model=by_length)])
    gc.collect()
    gc.disable()
    try:
        await opened.rerank(RerankRequest(query="q", documents=["a"]), CallContext("id"))
        recorder.flush()
        await settle()  # a timer of the event loop holds the call's context variables until it is due
        assert not [each for each in gc.get_objects() if isinstance(each, CallRecord | AttemptWatch)]
    finally:
        gc.enable()


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNAVAILABLE])
async def test_a_server_fault_and_a_prompt_sink_do_not_wait(code: Code) -> None:
    for sink, ended in ((Kept(), code), (Kept(is_prompt=True), Code.NOT_FOUND)):
        Recorder([sink]).begin(REQUEST, CallContext("id")).failed(Reason.INTERNAL, ended)
        assert len(sink.calls) == 1


async def test_a_failing_sink_fails_no_call_and_no_other_sink() -> None:
    broken, kept = Broken(), Kept()
    recorder = Recorder([broken, kept])
    opened = recorded(recorder, [ScriptedProvider(model=by_length)])
    before = errors_of("broken")
    with capture_logs() as logged:
        for _ in range(2):
            assert (await opened.rerank(RerankRequest(query="q", documents=["a"]), CallContext("id"))).results
            recorder.flush()
        assert len(logged) == 1, "once, not for every batch"
        broken.is_mended = True
        recorder.begin(REQUEST, CallContext("id")).failed(Reason.INVALID_REQUEST, Code.INVALID_ARGUMENT)
        recorder.flush()
        broken.is_mended = False
        recorder.begin(REQUEST, CallContext("id")).failed(Reason.INVALID_REQUEST, Code.INVALID_ARGUMENT)
        recorder.flush()
    assert [(line["log_level"], line["sink"]) for line in logged] == [("error", "broken")] * 2
    assert errors_of("broken") == before + 3
    assert len(kept.calls) == 4


async def test_a_durable_sink_has_stored_a_call_before_it_is_answered() -> None:
    sink = Stored()
    recorder = Recorder(durable=[sink])
    opened = recorded(
        recorder, [ScriptedProvider(model=in_turn(by_length, failing(AdapterErrorKind.REJECTED), broken))]
    )
    request = RerankRequest(query="q", documents=["a"])
    answering = asyncio.create_task(opened.rerank(request, CallContext("answered")))
    await settle()
    assert not answering.done()
    assert [record.code for record in sink.calls] == [Code.OK]
    sink.may_store.set()
    assert (await answering).results
    assert sink.stored == ["answered"]
    with pytest.raises(ServiceError):
        await opened.rerank(request, CallContext("failed"))
    assert sink.stored == ["answered", "failed"]
    with pytest.raises(ZeroDivisionError):
        await opened.rerank(request, CallContext("unexpected"))
    assert sink.stored == ["answered", "failed", "unexpected"]


async def test_a_call_that_no_durable_sink_stores_does_not_wait() -> None:
    sink = Stored()
    recorder = Recorder(durable=[sink])
    opened = recorded(recorder, [ScriptedProvider(model=by_length)])
    assert (await opened.rerank(RerankRequest(query="q", documents=["a"]), CallContext("other"))).results
    assert sink.batches == []


async def test_a_durable_sink_that_fails_or_is_not_waited_for_fails_no_call() -> None:
    class Full(Stored):
        async def sync(self) -> None:
            raise OSError("no space left")

    sink = Full()
    recorder = Recorder(durable=[sink])
    opened = recorded(recorder, [ScriptedProvider(model=in_turn(by_length, hanging))])
    request = RerankRequest(query="q", documents=["a"])
    before = errors_of("stored")
    with capture_logs() as logged:
        assert (await opened.rerank(request, CallContext("id"))).results
    assert [line["sink"] for line in logged] == ["stored"]
    assert errors_of("stored") == before + 1

    cancelled = asyncio.create_task(opened.rerank(request, CallContext("cancelled")))
    await settle()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    recorder.flush()
    assert [record.code for record in sink.calls] == [Code.OK, Code.CANCELLED]


async def test_a_provider_call_that_outlives_its_call_comes_by_itself() -> None:
    sink = Kept()
    recorder = Recorder([sink])
    record = recorder.begin(REQUEST, CallContext("id"))
    attempt = record.chunk(0, 1).attempt(("scripted", "model", "scripted/model"), 1, 2)
    attempt.__enter__()
    record.failed(Reason.CANCELLED, Code.CANCELLED)
    attempt.__exit__(AdapterError, AdapterError(AdapterErrorKind.UNAVAILABLE, "down"), None)
    recorder.flush()
    (batch,) = sink.batches
    assert batch.calls[0].attempts == []
    assert [late.outcome for late in batch.late_attempts] == ["unavailable"]
