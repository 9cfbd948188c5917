"""What both transports call: the use case, as the engine implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext


class RerankUseCase(Protocol):
    """The four rpcs of `rerank.v1.RerankService` in contract types.

    Called from many tasks of one event loop. Failures are `ServiceError`s; a cancelled call stops its work.
    """

    async def rerank(self, request: messages.RerankRequest, call: CallContext, /) -> messages.RerankResponse:
        """Order documents by their relevance."""
        ...

    async def list_models(
        self, request: messages.ListModelsRequest, call: CallContext, /
    ) -> messages.ListModelsResponse:
        """List a page of models."""
        ...

    async def get_model(self, request: messages.GetModelRequest, call: CallContext, /) -> messages.GetModelResponse:
        """Return one model."""
        ...

    def batch_rerank(
        self, requests: AsyncIterator[messages.BatchRerankRequest], call: CallContext, /
    ) -> AsyncIterator[messages.BatchRerankResponse]:
        """Rerank a stream of items, reading no faster than the answers are taken."""
        ...
