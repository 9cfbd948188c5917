"""The answer to a caller, built from what a target replied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rerankd import contract
from rerankd.contract import RerankRequest, RerankResponse, RerankResult
from rerankd.domain import CallContext
from rerankd.engine.dispatch import ChunkAnswer
from rerankd.engine.merge import RankedPair
from rerankd.engine.router import Target
from rerankd_adapters.base import ProviderReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A target that answered, and how it came to that."""

    target: Target
    chunks: Sequence[ChunkAnswer]
    """What it replied to each chunk, in request order."""
    reply: ProviderReply
    """The chunks' replies joined."""
    warnings: Sequence[str] = ()
    """What the engine adds to the provider's own warnings."""


def build_response(
    request: RerankRequest,
    call: CallContext,
    answered: Answered,
    ranking: Sequence[RankedPair],
    started_s: float,
) -> RerankResponse:
    """Build the response to `request`.

    Args:
        request: As it came.
        call: Its context.
        answered: The target that answered.
        ranking: What is returned, best first.
        started_s: `time.monotonic()` when the call came in.
    """
    reply = answered.reply
    return RerankResponse(
        id=call.request_id,
        results=_results(request, ranking),
        model=answered.target.name,
        usage=_usage(reply, len(request.documents)),
        meta=contract.Meta(
            api_version=contract.ApiVersion(version=call.api_version),
            billed_units=contract.BilledUnits(
                search_units=reply.search_units,
                input_tokens=reply.prompt_tokens,
                output_tokens=reply.completion_tokens,
            ),
            warnings=[*answered.warnings, *reply.warnings],
        ),
        extra_fields=_extra_fields(request, call, answered, started_s),
    )


def _results(request: RerankRequest, ranking: Sequence[RankedPair]) -> list[RerankResult]:
    if not request.return_documents:
        return [RerankResult(index=index, relevance_score=-negated) for negated, index in ranking]
    documents = request.documents
    return [
        RerankResult(index=index, relevance_score=-negated, document=as_document(documents[index]))
        for negated, index in ranking
    ]


def as_document(document: str | contract.Document) -> contract.Document:
    """Return the document form of what the caller sent."""
    return contract.Document(text=document) if isinstance(document, str) else document


def _usage(reply: ProviderReply, documents: int) -> contract.Usage:
    return contract.Usage(
        documents=documents,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        total_tokens=reply.prompt_tokens + reply.completion_tokens,
        search_units=reply.search_units,
        cost=reply.cost_usd,
    )


def _extra_fields(
    request: RerankRequest, call: CallContext, answered: Answered, started_s: float
) -> contract.ExtraFields:
    target, reply = answered.target, answered.reply
    chunks = []
    if request.include_details:
        chunks = [
            contract.ChunkDetail(
                chunk_index=index,
                documents=len(answer.chunk),
                provider=target.provider.name,
                model=answer.reply.model or target.info.name,
                attempts=1,
                latency_ms=answer.latency_ms,
            )
            for index, answer in enumerate(answered.chunks)
        ]
    return contract.ExtraFields(
        request_type=call.request_type,
        provider=target.provider.name,
        latency=elapsed_ms(started_s),
        chunk_index=len(answered.chunks) - 1,
        chunks=chunks,
        stages=[
            contract.StageDetail(
                stage=stage.name,
                model=stage.model,
                documents=stage.documents,
                latency_ms=stage.latency_ms,
                shortened_by=stage.shortened_by,
                indices=list(stage.positions),
            )
            for stage in reply.stages
        ],
    )


def elapsed_ms(started_s: float) -> float:
    """Milliseconds since `started_s`, a `time.monotonic()`, to the microsecond."""
    return round((time.monotonic() - started_s) * 1000, 3)
