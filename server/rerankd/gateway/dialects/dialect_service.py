"""Calls the service under a dialect's rules: blank documents last, scores on the dialect's scale."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Final

from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse, ScoreSpace
from rerankd.contract.service import RerankService
from rerankd.engine.ranking import Normalisation, normalise
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, Scale

_WITHIN_UNIT: Final = frozenset({ScoreSpace.PROBABILITY, ScoreSpace.RELATIVE})
_NEAREST_TO_ONE: Final = 1 - 1e-12


def rerank_in_dialect(
    service: RerankService, dialect: Dialect, parsed: ParsedRequest, call: CallContext, model_of_path: str = ""
) -> Awaitable[RerankResponse]:
    """Answer a request of a dialect.

    Args:
        service: Answers.
        dialect: Whose rules hold for blank documents and scores.
        parsed: The request; never changed.
        call: Its context.
        model_of_path: Model that the path names. Where it is served it wins over the body's, which LiteLLM spoils.

    Raises:
        ServiceError: As the service.
    """
    if parsed.scale == "own" and not dialect.scores_blank and not model_of_path:
        return service.rerank(parsed.request, call)
    return _rerank(service, dialect, parsed, call, model_of_path)


async def _rerank(
    service: RerankService, dialect: Dialect, parsed: ParsedRequest, call: CallContext, model_of_path: str
) -> RerankResponse:
    request = parsed.request
    if model_of_path and (not request.model or await _is_served(service, model_of_path, call)):
        request = structs.replace(request, model=model_of_path)
    if dialect.scores_blank:
        call = structs.replace(call, ranks_blank_last=True)
    answer = await service.rerank(request, call)
    if parsed.scale != "own":
        _rescale(answer, parsed.scale)
    return answer


async def _is_served(service: RerankService, model: str, call: CallContext) -> bool:
    try:
        await service.get_model(messages.GetModelRequest(model=model), call)
    except ServiceError:
        return False
    return True


def _rescale(answer: RerankResponse, scale: Scale) -> None:
    """Convert scores to 0..1 or to logits, by the answer's score space; the order stays."""
    space = answer.extra_fields.score_space if answer.extra_fields is not None else ScoreSpace.UNSPECIFIED
    if scale == "logit" and space in _WITHIN_UNIT:
        for result in answer.results:
            result.relevance_score = _logit(result.relevance_score)
    elif scale == "probability" and space is ScoreSpace.LOGIT:
        scores = normalise([result.relevance_score for result in answer.results], Normalisation.SIGMOID)
        for result, score in zip(answer.results, scores, strict=True):
            result.relevance_score = score


def _logit(probability: float) -> float:
    within = min(max(probability, 1e-12), _NEAREST_TO_ONE)
    return math.log(within / (1 - within))
