"""Every call of a service has a record, also one that a layer above the engine refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext, Caller
from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.contract.service import RerankService
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService, current_record
from tests.support.engines import engine
from tests.support.providers import ScriptedProvider

REQUEST = messages.RerankRequest(query="q", documents=["a", "bb"])


class Gate:
    """Refuses callers without a key, as an access layer would. Satisfies `RerankService`."""

    def __init__(self, service: RerankService) -> None:
        self._service = service
        self.records: list[CallRecord | None] = []

    async def rerank(self, request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        self.records.append(current_record())
        if not call.caller.key_id:
            raise ServiceError(Reason.INVALID_REQUEST, "no key")
        if request.model == "stuck":
            await asyncio.Event().wait()
        return await self._service.rerank(request, call)

    async def list_models(self, request: Any, call: CallContext) -> Any:
        return await self._service.list_models(request, call)

    async def get_model(self, request: Any, call: CallContext) -> Any:
        return await self._service.get_model(request, call)

    async def warm_documents(self, request: Any, call: CallContext) -> Any:
        return await self._service.warm_documents(request, call)


async def test_refusals_above_the_engine_are_recorded() -> None:
    gate = Gate(engine([ScriptedProvider()]))
    with pytest.raises(ServiceError):
        await RecordedService(gate, Recorder()).rerank(REQUEST, CallContext("r1"))
    (record,) = gate.records
    assert record is not None
    assert (record.reason, record.code, record.model) == (Reason.INVALID_REQUEST, Code.INVALID_ARGUMENT, "")
    assert current_record() is None


async def test_answers_are_recorded_and_the_caller_is_known() -> None:
    gate = Gate(engine([ScriptedProvider()]))
    caller = Caller("search", key_id="k1", groups=("eu",))
    await RecordedService(gate, Recorder()).rerank(REQUEST, CallContext("r1", caller=caller))
    (record,) = gate.records
    assert record is not None
    assert (record.reason, record.model, record.call.caller) == (None, "scripted/model", caller)


async def test_a_cancelled_call_is_recorded_as_such() -> None:
    gate = Gate(engine([ScriptedProvider()]))
    call = CallContext("r1", caller=Caller(key_id="k1"))
    task = asyncio.create_task(RecordedService(gate, Recorder()).rerank(messages.RerankRequest(model="stuck"), call))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.records[0] is not None
    assert gate.records[0].reason is Reason.CANCELLED
