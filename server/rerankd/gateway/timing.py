"""`Server-Timing`: how long a call took, told to whoever writes the answer's headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Final

from rerankd import contract
from rerankd.domain import CallContext
from rerankd.use_case import RerankUseCase

_times: Final[ContextVar[list[bytes] | None]] = ContextVar("rerankd_server_timing", default=None)


def collect_times() -> list[bytes]:
    """Begin a call; the list it returns gets the header's value once that is known."""
    times: list[bytes] = []
    _times.set(times)
    return times


class TimedService:
    """A use case that notes how long its calls took. Satisfies `RerankUseCase`."""

    def __init__(self, service: RerankUseCase) -> None:
        self._service = service

    async def rerank(self, request: contract.RerankRequest, call: CallContext) -> contract.RerankResponse:
        """Rerank, and note what the response says of its time."""
        response = await self._service.rerank(request, call)
        times = _times.get()
        if times is not None and response.extra_fields is not None:
            times[:] = [server_timing(response.extra_fields)]
        return response

    async def list_models(self, request: contract.ListModelsRequest, call: CallContext) -> contract.ListModelsResponse:
        """List models."""
        return await self._service.list_models(request, call)

    async def get_model(self, request: contract.GetModelRequest, call: CallContext) -> contract.GetModelResponse:
        """Return a model."""
        return await self._service.get_model(request, call)

    def batch_rerank(
        self, requests: AsyncIterator[contract.BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[contract.BatchRerankResponse]:
        """Rerank a stream; its headers are out before its times are known."""
        return self._service.batch_rerank(requests, call)


def server_timing(facts: contract.ExtraFields) -> bytes:
    """Write the header: the whole call, and where chunks are listed the longest of them and the rest.

    Chunks are sent side by side, so the longest is what was waited for.
    """
    if not facts.chunks:
        return b"total;dur=%.3f" % facts.latency
    provider_ms = max(chunk.latency_ms for chunk in facts.chunks)
    own_ms = max(0.0, facts.latency - provider_ms)
    return b"total;dur=%.3f, provider;dur=%.3f, rerankd;dur=%.3f" % (facts.latency, provider_ms, own_ms)
