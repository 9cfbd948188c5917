"""The answer to a caller, built from what a model replied."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse, RerankResult
from rerankd.engine.ranking import Ranking
from rerankd.engine.routing.chunk_executor import ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.planner import SEARCH_UNIT_DOCUMENTS
from rerankd.engine.scoring.request_scoring import Scores
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import ModelInfo

_MILLION: Final = 1_000_000


@dataclass(slots=True)
class ModelResult:
    """A model that answered, and how it came to that."""

    group: ModelGroup
    info: ModelInfo
    scores: Scores
    calls: Sequence[tuple[Sequence[int], ChunkResult]]
    """Every provider call: the positions in the request it scored, and what came of it."""
    warnings: Sequence[str] = ()
    """What the engine adds to the provider's own warnings."""
    failures: Sequence[tuple[ModelGroup, ServiceError]] = ()
    """The models that failed before, in the order they were asked."""


def build_response(
    request: RerankRequest,
    call: CallContext,
    answered: ModelResult,
    ranking: Ranking,
    started_s: float,
) -> RerankResponse:
    """Build the response to `request`.

    Args:
        request: As it came.
        call: Its context.
        answered: The model that answered.
        ranking: What is returned, best first.
        started_s: `time.monotonic()` when the call came in.
    """
    usage = _usage(request, answered)
    said = dict.fromkeys([warning for _, answer in answered.calls for warning in answer.reply.warnings])
    fell_back = [f"fell back: {error}" for _, error in answered.failures]
    return RerankResponse(
        id=call.request_id,
        results=_results(request, ranking),
        model=answered.group.name,
        usage=usage,
        meta=messages.Meta(
            api_version=messages.ApiVersion(version=call.api_version),
            billed_units=messages.BilledUnits(
                search_units=usage.search_units,
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
            ),
            warnings=[*answered.warnings, *fell_back, *said],
        ),
        extra_fields=_extra_fields(request, call, answered, started_s),
    )


def _results(request: RerankRequest, ranking: Ranking) -> list[RerankResult]:
    ranked = zip(ranking.indices, ranking.scores, strict=True)
    if not request.return_documents:
        return [RerankResult(index=index, relevance_score=score) for index, score in ranked]
    documents = request.documents
    return [
        RerankResult(index=index, relevance_score=score, document=as_document(documents[index]))
        for index, score in ranked
    ]


def as_document(document: str | messages.Document) -> messages.Document:
    """Return the document form of what the caller sent."""
    return messages.Document(text=document) if isinstance(document, str) else document


def _usage(request: RerankRequest, answered: ModelResult) -> messages.Usage:
    price = answered.info.price
    prompt_tokens = completion_tokens = search_units = 0
    cost: float | None = 0 if answered.calls or price is not None else None
    for _, answer in answered.calls:
        reply = answer.reply
        prompt_tokens += reply.prompt_tokens
        completion_tokens += reply.completion_tokens
        search_units += reply.search_units
        cost = None if cost is None or reply.cost_usd is None else cost + reply.cost_usd
    return messages.Usage(
        documents=len(request.documents),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        search_units=search_units,
        cost=cost,
        cached_documents=answered.scores.cached,
        saved_cost=_saved_cost(request, answered) if answered.scores.cached else None,
    )


def _saved_cost(request: RerankRequest, answered: ModelResult) -> float | None:
    """Reckon what the documents that were not asked for would have cost; tokens are estimated."""
    price, cached = answered.info.price, answered.scores.cached
    if price is None:
        return None
    total = len(request.documents)
    if price.unit == "search_unit":
        asked = sum(math.ceil(len(positions) / SEARCH_UNIT_DOCUMENTS) for positions, _ in answered.calls)
        units = max(math.ceil(total / SEARCH_UNIT_DOCUMENTS) - asked, 0)
        return units * price.usd_per_million / _MILLION
    texts = (document if isinstance(document, str) else document.text for document in request.documents)
    tokens = sum(map(ESTIMATE.count, texts)) * cached / total + ESTIMATE.count(request.query) * cached
    return round(tokens) * price.usd_per_million / _MILLION


def _extra_fields(
    request: RerankRequest, call: CallContext, answered: ModelResult, started_s: float
) -> messages.ExtraFields:
    calls = answered.calls
    return messages.ExtraFields(
        request_type=call.request_type,
        provider=calls[0][1].deployment.provider.name if calls else answered.group.deployments[0].provider.name,
        latency=elapsed_ms(started_s),
        chunk_index=max(len(calls) - 1, 0),
        chunks=_chunks(answered) if request.include_details else [],
        stages=[
            messages.StageDetail(
                stage=stage.name,
                model=stage.model,
                documents=stage.documents,
                latency_ms=stage.latency_ms,
                shortened_by=stage.shortened_by,
                indices=list(stage.positions),
            )
            for _, answer in calls
            for stage in answer.reply.stages
        ],
        fell_back_from=[
            messages.FailedModel(model=group.name, reason=error.reason.value, message=error.message)
            for group, error in answered.failures
        ],
    )


def _chunks(answered: ModelResult) -> list[messages.ChunkDetail]:
    return [
        messages.ChunkDetail(
            chunk_index=index,
            documents=len(positions),
            provider=answer.deployment.provider.name,
            model=answer.reply.model or answer.deployment.model,
            attempts=answer.attempts,
            latency_ms=answer.latency_ms,
            deployment=answer.deployment.name,
            hedged=answer.is_hedged,
        )
        for index, (positions, answer) in enumerate(answered.calls)
    ]


def elapsed_ms(started_s: float) -> float:
    """Milliseconds since `started_s`, a `time.monotonic()`, to the microsecond."""
    return round((time.monotonic() - started_s) * 1000, 3)
