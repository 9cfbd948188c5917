"""Calls the service under a dialect's rules: the model of the path, scores on the dialect's scale."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.contract.service import RerankService
from rerankd.engine.scale import rescale
from rerankd.gateway.translation.parsed_request import ParsedRequest
from rerankd.gateway.translation.query_parts import rerank_parts


def rerank_in_dialect(
    service: RerankService, parsed: ParsedRequest, call: CallContext, model_of_path: str = ""
) -> Awaitable[RerankResponse]:
    """Answer a request of a dialect.

    Args:
        service: Answers.
        parsed: The request; never changed.
        call: Its context.
        model_of_path: Model that the path names. Where it is served it wins over the body's, which LiteLLM spoils.

    Raises:
        ServiceError: As the service.
    """
    if parsed.scale == "own" and not model_of_path and not parsed.parts and not parsed.mapped:
        return service.rerank(parsed.request, call)
    return _rerank(service, parsed, call, model_of_path)


async def _rerank(
    service: RerankService, parsed: ParsedRequest, call: CallContext, model_of_path: str
) -> RerankResponse:
    request = parsed.request
    if parsed.mapped:
        call = structs.replace(call, mapped_parameters=parsed.mapped)
    if model_of_path and (not request.model or await _is_served(service, model_of_path, call)):
        request = structs.replace(request, model=model_of_path)
    if parsed.parts:
        answer = await rerank_parts(service, request, parsed.parts, call)
    else:
        answer = await service.rerank(request, call)
    if parsed.scale != "own":
        rescale(answer, parsed.scale)
    return answer


async def _is_served(service: RerankService, model: str, call: CallContext) -> bool:
    try:
        await service.get_model(messages.GetModelRequest(model=model), call)
    except ServiceError:
        return False
    return True
