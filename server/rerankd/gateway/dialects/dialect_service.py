"""Calls the use case under a dialect's rules: leaves blank documents out, converts scores to the dialect's scale."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Final

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse, RerankResult, ScoreSpace
from rerankd.contract.service import RerankUseCase
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, Scale
from rerankd.gateway.dialects.documents import is_blank

_WITHIN_UNIT: Final = frozenset({ScoreSpace.PROBABILITY, ScoreSpace.RELATIVE})
_NEAREST_TO_ONE: Final = 1 - 1e-12
_FURTHEST_LOGIT: Final = 700.0


def rerank_in_dialect(
    service: RerankUseCase, dialect: Dialect, parsed: ParsedRequest, call: CallContext, model_of_path: str = ""
) -> Awaitable[RerankResponse]:
    """Rerank a parsed request under the rules of its dialect.

    Args:
        service: The use case.
        dialect: Decides how blank documents are treated.
        parsed: The parsed request; its documents and model may be replaced.
        call: Context of the call.
        model_of_path: Model named by the path, empty for none. It overrides the body's model if it is served, because
            LiteLLM sends a shortened name in the body.

    Raises:
        ServiceError: As the use case.
    """
    if parsed.scale == "own" and not dialect.scores_blank and not model_of_path:
        return service.rerank(parsed.request, call)
    return _rerank(service, dialect, parsed, call, model_of_path)


async def _rerank(
    service: RerankUseCase, dialect: Dialect, parsed: ParsedRequest, call: CallContext, model_of_path: str
) -> RerankResponse:
    if model_of_path and (not parsed.request.model or await _is_served(service, model_of_path, call)):
        parsed.request.model = model_of_path
    if dialect.scores_blank and any(map(is_blank, parsed.request.documents)):
        answer = await _rerank_without_blanks(service, parsed, call)
    else:
        answer = await service.rerank(parsed.request, call)
    if parsed.scale != "own":
        await _rescale(service, answer, parsed.scale, call)
    return answer


async def _is_served(service: RerankUseCase, model: str, call: CallContext) -> bool:
    try:
        await service.get_model(messages.GetModelRequest(model=model), call)
    except ServiceError:
        return False
    return True


async def _rerank_without_blanks(service: RerankUseCase, parsed: ParsedRequest, call: CallContext) -> RerankResponse:
    """Score what there is to score; blank documents follow in request order, with a score no better than any other."""
    request = parsed.request
    kept = [index for index, document in enumerate(request.documents) if not is_blank(document)]
    blank = [index for index, document in enumerate(request.documents) if is_blank(document)]
    if kept:
        parsed.request.documents = [request.documents[index] for index in kept]
        answer = await service.rerank(request, call)
        for result in answer.results:
            result.index = kept[result.index]
    else:
        answer = await _all_blank(service, request, call)
    worst = min([0.0, *(result.relevance_score for result in answer.results)])
    answer.results += [RerankResult(index=index, relevance_score=worst) for index in blank]
    del answer.results[request.top_n if request.top_n is not None else len(answer.results) :]
    return answer


async def _all_blank(service: RerankUseCase, request: messages.RerankRequest, call: CallContext) -> RerankResponse:
    """Answer for documents of which none can be scored, with the errors that other documents would have met.

    One non-blank document is scored in their place, so that model, query and limits are still validated.
    """
    count = len(request.documents)
    request.documents = ["-"]
    answer = await service.rerank(request, call)
    request.documents = [""] * count
    answer.results = []
    return answer


async def _rescale(service: RerankUseCase, answer: RerankResponse, scale: Scale, call: CallContext) -> None:
    """Map scores to 0..1 or to logits, by what the model's scores are; the order stays."""
    try:
        found = await service.get_model(messages.GetModelRequest(model=answer.model), call)
    except ServiceError:
        return
    space = found.model.score_space if found.model is not None else ScoreSpace.UNSPECIFIED
    if scale == "logit" and space in _WITHIN_UNIT:
        for result in answer.results:
            result.relevance_score = _logit(result.relevance_score)
    elif scale == "probability" and space is ScoreSpace.LOGIT:
        for result in answer.results:
            result.relevance_score = _sigmoid(result.relevance_score)


def _logit(probability: float) -> float:
    within = min(max(probability, 1e-12), _NEAREST_TO_ONE)
    return math.log(within / (1 - within))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(min(-logit, _FURTHEST_LOGIT)))
