"""Builds the response from the result of a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import RerankRequest, RerankResponse, RerankResult
from rerankd.engine.ranking import NORMALISED_SPACES, Normalisation, Ranking
from rerankd.engine.routing.failures import ModelFailure
from rerankd.engine.scoring.model_result import ModelResult, stages_of
from rerankd_adapters.base import ScoreSpace

SCORE_SPACES: Final = {
    ScoreSpace.UNKNOWN: messages.ScoreSpace.UNSPECIFIED,
    ScoreSpace.PROBABILITY: messages.ScoreSpace.PROBABILITY,
    ScoreSpace.LOGIT: messages.ScoreSpace.LOGIT,
    ScoreSpace.COSINE: messages.ScoreSpace.COSINE,
    ScoreSpace.UNBOUNDED: messages.ScoreSpace.UNBOUNDED,
    ScoreSpace.RELATIVE: messages.ScoreSpace.RELATIVE,
}
"""Score spaces of the contract by those of the adapters."""


def build_response(
    request: RerankRequest,
    call: CallContext,
    result: ModelResult,
    failures: Sequence[ModelFailure],
    ranking: Ranking,
    normalisation: Normalisation,
    started_s: float,
) -> RerankResponse:
    """Build the response to `request`.

    Args:
        request: The request as received.
        call: Context of the call.
        result: Result of the model that succeeded.
        failures: Models that failed before it, in the order of attempts.
        ranking: The documents to return, best first.
        normalisation: Normalisation of the scores of `ranking`.
        started_s: `time.monotonic()` when the call was received.
    """
    usage = result.usage
    provider_warnings = dict.fromkeys([warning for chunk in result.calls for warning in chunk.result.reply.warnings])
    fell_back = [f"fell back: {failed.error}" for failed in failures]
    return RerankResponse(
        id=call.request_id,
        results=_results(request, result, ranking),
        model=result.model,
        usage=usage,
        meta=messages.Meta(
            api_version=messages.ApiVersion(version=call.api_version),
            billed_units=messages.BilledUnits(
                search_units=usage.search_units,
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
            ),
            warnings=[*result.warnings, *fell_back, *provider_warnings],
        ),
        extra_fields=messages.ExtraFields(
            request_type=call.request_type,
            provider=result.provider,
            latency=elapsed_ms(started_s),
            chunk_index=max(len(result.calls) - 1, 0),
            chunks=_chunks(result) if request.include_details else [],
            stages=_stages(result, has_details=bool(request.include_details)),
            fell_back_from=[
                messages.FailedModel(model=failed.model, reason=failed.error.reason.value, message=failed.error.message)
                for failed in failures
            ],
            score_space=SCORE_SPACES[NORMALISED_SPACES.get(normalisation, result.score_space)],
        ),
    )


def _results(request: RerankRequest, result: ModelResult, ranking: Ranking) -> list[RerankResult]:
    ranked = zip(ranking.indices, ranking.scores, strict=True)
    if not request.return_documents:
        results = [RerankResult(index=index, relevance_score=score) for index, score in ranked]
    else:
        documents = request.documents
        results = [
            RerankResult(index=index, relevance_score=score, document=as_document(documents[index]))
            for index, score in ranked
        ]
    if result.explain is not None and request.include_details:
        for each in results:
            if parts := result.explain(each.index):
                each.explanation = messages.Explanation(parts=list(parts))
    return results


def as_document(document: str | messages.Document) -> messages.Document:
    """Return a document of the request as a message."""
    return messages.Document(text=document) if isinstance(document, str) else document


def _stages(result: ModelResult, *, has_details: bool) -> list[messages.StageDetail]:
    return [
        messages.StageDetail(
            stage=stage.name,
            model=stage.model,
            documents=stage.documents,
            latency_ms=stage.latency_ms,
            shortened_by=stage.shortened_by,
            indices=list(stage.indices) if has_details else [],
            status=stage.status,
            usage=stage.usage,
            reason=stage.reason,
            message=stage.message,
        )
        for stage in stages_of(result)
    ]


def _chunks(result: ModelResult) -> list[messages.ChunkDetail]:
    return [
        messages.ChunkDetail(
            chunk_index=chunk.index,
            documents=len(indices),
            provider=chunk.deployment.provider.name,
            model=chunk.reply.model or chunk.deployment.model,
            attempts=chunk.attempts,
            latency_ms=chunk.latency_ms,
            deployment=chunk.deployment.name,
            hedged=chunk.is_hedged,
        )
        for indices, chunk in sorted(result.calls, key=lambda call: call.result.index)
    ]


def elapsed_ms(started_s: float) -> float:
    """Return the milliseconds since `started_s`, a `time.monotonic()`, rounded to microseconds."""
    return round((time.monotonic() - started_s) * 1000, 3)
