"""Records the calls of a service: a wrapper above whatever may refuse or answer them."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Final

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.contract.service import RerankService
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import Recorder

_TIMER_EARLY_S: Final = 0.002
"""A timer of the event loop, which counts whole milliseconds, may end a call so much before its deadline."""

_current: Final[ContextVar[CallRecord | None]] = ContextVar("rerankd.call_record", default=None)


def current_record() -> CallRecord | None:
    """Return the record of the rerank call that the running task is part of; `None` where calls are not recorded."""
    return _current.get()


class RecordedService:
    """Makes a record of every rerank call and ends it with the outcome. Satisfies `RerankService`.

    Args:
        service: Answers the calls; finds the record by `current_record`.
        recorder: Takes the records.
    """

    def __init__(self, service: RerankService, recorder: Recorder) -> None:
        self._service = service
        self._recorder = recorder

    async def rerank(self, request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        """Answer by the service, and record the call; durable sinks have stored it before the answer is returned."""
        record = self._recorder.begin(request, call)
        token = _current.set(record)
        try:
            response = await self._service.rerank(request, call)
        except ServiceError as error:
            record.failed(error.reason, error.code)
            error.is_recorded = True
            await self._sync(record)
            raise
        except asyncio.CancelledError:
            record.failed(*_cancel_cause(call))
            raise
        except Exception:
            record.failed(Reason.INTERNAL, Code.INTERNAL)
            await self._sync(record)
            raise
        except BaseException:
            record.failed(Reason.INTERNAL, Code.INTERNAL)
            raise
        finally:
            _current.reset(token)
        record.answered(response)
        await self._sync(record)
        return response

    async def _sync(self, record: CallRecord) -> None:
        if self._recorder.is_durable:
            await self._recorder.sync(record)

    async def list_models(self, request: messages.ListModelsRequest, call: CallContext) -> messages.ListModelsResponse:
        """Answer by the service."""
        return await self._service.list_models(request, call)

    async def get_model(self, request: messages.GetModelRequest, call: CallContext) -> messages.GetModelResponse:
        """Answer by the service."""
        return await self._service.get_model(request, call)

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext
    ) -> messages.WarmDocumentsResponse:
        """Answer by the service."""
        return await self._service.warm_documents(request, call)


def _cancel_cause(call: CallContext) -> tuple[Reason, Code]:
    """Tell a caller who went away from a transport that ended the call at its deadline."""
    remaining_s = call.remaining_s()
    if remaining_s is not None and remaining_s <= _TIMER_EARLY_S:
        return Reason.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED
    return Reason.CANCELLED, Code.CANCELLED
