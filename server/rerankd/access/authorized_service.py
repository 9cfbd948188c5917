"""The rerank service for identified callers: scope and models are checked before a call goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from rerankd.access.authentication import Authenticator
from rerankd.access.grant import Grant
from rerankd.access.rights import SCOPES_OF_RPC
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, ServiceError
from rerankd.contract.service import RerankService, RerankServiceStreams
from rerankd.telemetry.calls.recording import current_record

_RERANK: Final = SCOPES_OF_RPC["RerankService.Rerank"]


class AuthorizedRerankService:
    """Admits calls of callers who may make them. Satisfies `RerankService`.

    Args:
        service: Answers; finds the caller in `CallContext.caller`.
        authenticator: Identifies callers.
        default_model: Names the model of requests that name none.
    """

    def __init__(self, service: RerankService, authenticator: Authenticator, default_model: Callable[[], str]) -> None:
        self._service = service
        self._authenticator = authenticator
        self._default_model = default_model

    async def rerank(self, request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        """Rerank for a caller with the scope `rerank` who may use the model and every fallback."""
        grant = await self._authenticator.identify(call)
        call = msgspec.structs.replace(call, caller=grant.caller)
        if (record := current_record()) is not None:
            record.call = call
        grant.require(*_RERANK)
        if grant.is_limited:
            grant.require_model(request.model or self._default_model())
            for name in request.fallbacks:
                grant.require_model(name)
            with _hints_within(grant):
                return await self._service.rerank(request, call)
        return await self._service.rerank(request, call)

    async def list_models(self, request: messages.ListModelsRequest, call: CallContext) -> messages.ListModelsResponse:
        """List the models that a caller with the scope `models` may use; a page may hold fewer than asked for."""
        grant = await self._authenticator.identify(call)
        grant.require(*SCOPES_OF_RPC["RerankService.ListModels"])
        call = msgspec.structs.replace(call, caller=grant.caller)
        while True:
            page = await self._service.list_models(request, call)
            if not grant.is_limited:
                return page
            page.models = [allowed for model in page.models if (allowed := _allowed_part(model, grant)) is not None]
            if page.models or not page.next_page_token:
                return page
            request = msgspec.structs.replace(request, page_token=page.next_page_token)

    async def get_model(self, request: messages.GetModelRequest, call: CallContext) -> messages.GetModelResponse:
        """Describe a model to a caller with the scope `models` or `rerank` who may use it."""
        grant = await self._authenticator.identify(call)
        grant.require(*SCOPES_OF_RPC["RerankService.GetModel"])
        grant.require_model(request.model)
        call = msgspec.structs.replace(call, caller=grant.caller)
        with _hints_within(grant):
            response = await self._service.get_model(request, call)
        if grant.is_limited and response.model is not None:
            response.model = _allowed_part(response.model, grant) or response.model
        return response

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext
    ) -> messages.WarmDocumentsResponse:
        """Warm documents for a caller with the scope `rerank` who may use the model."""
        grant = await self._authenticator.identify(call)
        grant.require(*SCOPES_OF_RPC["RerankService.WarmDocuments"])
        grant.require_model(request.model or self._default_model())
        with _hints_within(grant):
            return await self._service.warm_documents(request, msgspec.structs.replace(call, caller=grant.caller))


class AuthorizedRerankStreams:
    """Admits streams of callers with the scope `rerank`. Satisfies `RerankServiceStreams`.

    Args:
        streams: Answers, over a service that admits every item by itself.
        authenticator: Identifies callers.
    """

    def __init__(self, streams: RerankServiceStreams, authenticator: Authenticator) -> None:
        self._streams = streams
        self._authenticator = authenticator

    async def batch_rerank(
        self, requests: AsyncIterator[messages.BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[messages.BatchRerankResponse]:
        """Rerank a stream; it fails as a whole if the caller may not rerank at all."""
        grant = await self._authenticator.identify(call)
        grant.require(*SCOPES_OF_RPC["RerankService.BatchRerank"])
        answers = self._streams.batch_rerank(requests, call)
        try:
            async for answer in answers:
                yield answer
        finally:
            if (close := getattr(answers, "aclose", None)) is not None:
                await close()


@contextmanager
def _hints_within(grant: Grant) -> Iterator[None]:
    """Keep errors from suggesting a model that the caller may not use."""
    try:
        yield
    except ServiceError as error:
        suggestion = error.metadata.get("suggestion", "")
        if grant.allows_model(suggestion) or not suggestion:
            raise
        name = error.metadata.get("model", "")
        message = f"model {name} not found; `GET /v1/models` lists those that the caller may use"
        violations = [FieldViolation(each.field, message) for each in error.violations]
        raise ServiceError(error.reason, message, metadata={"model": name}, violations=violations) from None


def _allowed_part(model: messages.Model, grant: Grant) -> messages.Model | None:
    """Return a model with those of its names that the caller may use; None if it may use none."""
    aliases = [alias for alias in model.aliases if grant.allows_model(alias)]
    if not aliases and not grant.allows_model(model.name):
        return None
    return msgspec.structs.replace(model, aliases=aliases)
