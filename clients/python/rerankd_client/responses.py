"""What `rerank` returns.

Results are frozen dataclasses, not protobuf messages: what is not there is None instead of a zero or an
empty message, structured content is a plain dict, values compare, print and pickle, and editors know every
attribute. The cost is 2 to 3 us a result. `RerankResponse.message` keeps the message as it came, for what
the dataclasses leave out (Cohere's billing form) and for lossless JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.documents import Document, decode_document
from rerankd_client.enums import ScoreSpace, StageStatus, enum_of_number


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one part of a reranker said of a document: a member, a stage or a feature."""

    name: str
    """Name of the part."""
    rank: int | None
    """One-based rank among the documents that the part scored; None where parts have no order of their own."""
    relevance_score: float | None
    """The part's own score."""
    normalized_score: float | None
    """That score on the scale on which the parts are added up; None where they are not."""
    weight: float | None
    """Weight of the part; None where parts have none."""
    contribution: float | None
    """What the part adds to the result's relevance score; None where parts are not added up."""


@dataclass(frozen=True, slots=True)
class RerankResult:
    """One ranked document."""

    index: int
    """Zero-based position of the document in the request."""
    relevance_score: float
    """Higher is more relevant; comparable within one response."""
    document: Document | None = None
    """The document as it went; only with `return_documents`."""
    explanation: tuple[Contribution, ...] = ()
    """What each part of a reranker said of the document; only with `include_details`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was consumed."""

    documents: int = 0
    """Documents scored."""
    prompt_tokens: int = 0
    """Tokens read by the model."""
    completion_tokens: int = 0
    """Tokens written; 0 but for LLM strategies."""
    total_tokens: int = 0
    """Sum of the two."""
    search_units: int = 0
    """Provider's billing units; 0 where tokens are billed."""
    cost: float | None = None
    """US dollars; None when not known."""
    cached_documents: int = 0
    """Documents whose score was known, or being asked for by another call."""
    saved_cost: float | None = None
    """What these would have cost in US dollars; None when not known."""


@dataclass(frozen=True, slots=True)
class ChunkDetail:
    """One provider call of a request."""

    chunk_index: int
    """Zero-based number of the chunk."""
    documents: int
    """Documents in it."""
    provider: str
    """Provider that answered."""
    model: str
    """Model that answered, by the provider's name."""
    attempts: int
    """Calls made for it, retries included."""
    latency_ms: float
    """Milliseconds from first attempt to answer."""
    deployment: str = ""
    """Deployment that answered."""
    hedged: bool = False
    """Whether a second copy of a slow call was sent."""


@dataclass(frozen=True, slots=True)
class FailedModel:
    """A model that was tried and did not answer."""

    model: str
    """Its name."""
    reason: str
    """Name of the `ErrorReason`."""
    message: str
    """What it said."""


@dataclass(frozen=True, slots=True)
class StageDetail:
    """One stage of a model that scores in several."""

    stage: str
    """Name of the stage, such as "cross-encoder"."""
    model: str
    """Model of the stage."""
    documents: int
    """Documents this stage scored."""
    latency_ms: float
    """Milliseconds it took."""
    shortened_by: str
    """Why it scored fewer documents than it would have: "budget" or empty."""
    indices: tuple[int, ...]
    """Request positions of the documents it scored; only with `include_details`."""
    status: StageStatus = StageStatus.UNSPECIFIED
    """How it ended."""
    usage: Usage | None = None
    """What it consumed, its cost included; None but for stages and members of rerankers."""
    reason: str | None = None
    """Name of the `ErrorReason` of a stage that failed."""
    message: str | None = None
    """Why it failed or was skipped."""


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """Documents in order of relevance."""

    id: str
    """Identifies the call; also in the server's log."""
    results: tuple[RerankResult, ...]
    """Best first; equal scores in request order."""
    model: str
    """The model that answered."""
    provider: str
    """Provider that answered."""
    usage: Usage
    """What the call consumed."""
    latency_ms: float
    """Milliseconds the server spent on the call."""
    warnings: tuple[str, ...]
    """What the caller should know: a document cut, an option ignored."""
    chunks: tuple[ChunkDetail, ...]
    """Each provider call; only with `include_details`."""
    stages: tuple[StageDetail, ...]
    """Each stage, for models that score in several."""
    fell_back_from: tuple[FailedModel, ...]
    """The models that failed before the one that answered; empty when no fallback was taken."""
    message: pb.RerankResponse = field(repr=False, compare=False)
    """The message as it came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the response as the HTTP interface writes it in JSON: proto names, zeros included."""
        written: dict[str, Any] = json_format.MessageToDict(
            self.message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for result in written["results"]:
            if "document" in result:
                # Of a document only what it has is written.
                result["document"] = {name: value for name, value in result["document"].items() if value != ""}
        if "extra_fields" in written:
            written["extra_fields"]["score_space"] = str(
                enum_of_number(ScoreSpace, self.message.extra_fields.score_space)
            )
            for stage, message in zip(written["extra_fields"]["stages"], self.message.extra_fields.stages, strict=True):
                stage["status"] = str(enum_of_number(StageStatus, message.status))
        return written


def decode_response(message: pb.RerankResponse) -> RerankResponse:
    """Build a `RerankResponse` from its message."""
    extra, meta = message.extra_fields, message.meta
    return RerankResponse(
        id=message.id,
        results=tuple(map(_decode_result, message.results[:])),
        model=message.model,
        provider=extra.provider,
        usage=decode_usage(message.usage),
        latency_ms=extra.latency,
        warnings=tuple(meta.warnings) if meta.warnings else (),
        chunks=tuple(map(_decode_chunk, extra.chunks)) if extra.chunks else (),
        stages=tuple(map(_decode_stage, extra.stages)) if extra.stages else (),
        fell_back_from=tuple(map(_decode_failed, extra.fell_back_from)) if extra.fell_back_from else (),
        message=message,
    )


def decode_usage(message: pb.Usage) -> Usage:
    """Build a `Usage` from its message."""
    return Usage(
        documents=message.documents,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        total_tokens=message.total_tokens,
        search_units=message.search_units,
        cost=message.cost if message.HasField("cost") else None,
        cached_documents=message.cached_documents,
        saved_cost=message.saved_cost if message.HasField("saved_cost") else None,
    )


def add_usage(one: Usage, other: Usage) -> Usage:
    """Return the sum; a cost that only one of them knows counts."""
    return Usage(
        documents=one.documents + other.documents,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        total_tokens=one.total_tokens + other.total_tokens,
        search_units=one.search_units + other.search_units,
        cost=_add_known(one.cost, other.cost),
        cached_documents=one.cached_documents + other.cached_documents,
        saved_cost=_add_known(one.saved_cost, other.saved_cost),
    )


def _add_known(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other


def _decode_result(message: pb.RerankResult) -> RerankResult:
    document = decode_document(message.document) if message.HasField("document") else None
    # An absent message is made when it is read, which takes longer than all the rest.
    parts = tuple(map(_decode_contribution, message.explanation.parts)) if message.HasField("explanation") else ()
    return RerankResult(message.index, message.relevance_score, document, parts)


def _decode_contribution(message: pb.Contribution) -> Contribution:
    return Contribution(
        name=message.name,
        rank=message.rank if message.HasField("rank") else None,
        relevance_score=message.relevance_score if message.HasField("relevance_score") else None,
        normalized_score=message.normalized_score if message.HasField("normalized_score") else None,
        weight=message.weight if message.HasField("weight") else None,
        contribution=message.contribution if message.HasField("contribution") else None,
    )


def _decode_failed(message: pb.FailedModel) -> FailedModel:
    return FailedModel(message.model, message.reason, message.message)


def _decode_chunk(message: pb.ChunkDetail) -> ChunkDetail:
    return ChunkDetail(
        chunk_index=message.chunk_index,
        documents=message.documents,
        provider=message.provider,
        model=message.model,
        attempts=message.attempts,
        latency_ms=message.latency_ms,
        deployment=message.deployment,
        hedged=message.hedged,
    )


def _decode_stage(message: pb.StageDetail) -> StageDetail:
    return StageDetail(
        stage=message.stage,
        model=message.model,
        documents=message.documents,
        latency_ms=message.latency_ms,
        shortened_by=message.shortened_by,
        indices=tuple(message.indices),
        status=enum_of_number(StageStatus, message.status),
        usage=decode_usage(message.usage) if message.HasField("usage") else None,
        reason=message.reason if message.HasField("reason") else None,
        message=message.message if message.HasField("message") else None,
    )
