"""What both transports call: the use case, as the engine implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rerankd import contract
from rerankd.domain import CallContext


class RerankUseCase(Protocol):
    """The four rpcs of `rerank.v1.RerankService` in contract types.

    Called from many tasks of one event loop. Failures are `ServiceError`s; a cancelled call stops its work.
    """

    async def rerank(self, request: contract.RerankRequest, call: CallContext, /) -> contract.RerankResponse:
        """Order documents by their relevance."""
        ...

    async def list_models(
        self, request: contract.ListModelsRequest, call: CallContext, /
    ) -> contract.ListModelsResponse:
        """List a page of models."""
        ...

    async def get_model(self, request: contract.GetModelRequest, call: CallContext, /) -> contract.GetModelResponse:
        """Return one model."""
        ...

    def batch_rerank(
        self, requests: AsyncIterator[contract.BatchRerankRequest], call: CallContext, /
    ) -> AsyncIterator[contract.BatchRerankResponse]:
        """Rerank a stream of items, reading no faster than the answers are taken."""
        ...
