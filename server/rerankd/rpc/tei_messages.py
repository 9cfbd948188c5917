"""Messages of `tei.v1`: their protocols, and their conversion to the contract's and back.

Their classes are made from descriptors at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from google.protobuf.message import Message

from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse, Truncation
from rerankd_adapters.grpc_upstream.messages import find_method

TEI_RERANK: Final = "tei.v1.Rerank"
TEI_INFO: Final = "tei.v1.Info"
RERANK: Final = find_method(TEI_RERANK, "Rerank")
STREAM: Final = find_method(TEI_RERANK, "RerankStream")
INFO: Final = find_method(TEI_INFO, "Info")
UINT32_MAX: Final = 2**32 - 1
_TRUNCATE_LEFT: Final = 1
_DIRECTIONS: Final = (0, _TRUNCATE_LEFT)
"""`TruncationDirection`, an open enum."""
_NS_PER_MS: Final = 1_000_000


class RequestOptions(Protocol):
    """Fields of `RerankRequest` and `RerankStreamRequest`."""

    query: str
    truncate: bool
    raw_scores: bool
    return_text: bool
    truncation_direction: int


class TeiRequest(RequestOptions, Protocol):
    """`tei.v1.RerankRequest`."""

    texts: Sequence[str]


class TeiStreamRequest(RequestOptions, Protocol):
    """`tei.v1.RerankStreamRequest`: one text of a request; its first message has the options."""

    text: str


def request_of(options: RequestOptions, texts: list[str]) -> RerankRequest:
    """Build our request; `raw_scores` is passed to models of TEI.

    `truncate` has no presence: false counts as unset, not as truncation `NONE`.

    Raises:
        ServiceError: `INVALID_REQUEST` for a direction that TEI does not have.
    """
    if options.truncation_direction not in _DIRECTIONS:
        rule = f"truncation_direction must be 0 (right) or 1 (left), was {options.truncation_direction}"
        raise invalid_request([FieldViolation("truncation_direction", rule)])
    truncation = Truncation.UNSPECIFIED
    if options.truncate:
        truncation = Truncation.START if options.truncation_direction == _TRUNCATE_LEFT else Truncation.END
    own = {"raw_scores": True} if options.raw_scores else None
    return RerankRequest(query=options.query, documents=list(texts), truncation=truncation, provider_options=own)


def response_of(response: RerankResponse, query: str, texts: Sequence[str], *, returns_texts: bool) -> Message:
    """Build TEI's response.

    Args:
        response: Our response; its results become the ranks, in the same order.
        query: The query, for the count of characters.
        texts: n texts as sent.
        returns_texts: Whether each rank has its text.
    """
    answer = RERANK.response()
    for result in response.results:
        rank = answer.ranks.add(index=result.index, score=result.relevance_score)
        if returns_texts:
            rank.text = texts[result.index]
    taken = answer.metadata
    taken.compute_chars = min(sum(map(len, texts)) + len(query) * len(texts), UINT32_MAX)
    taken.compute_tokens = response.usage.prompt_tokens if response.usage else 0
    taken.total_time_ns = round(response.extra_fields.latency * _NS_PER_MS) if response.extra_fields else 0
    built: Message = answer
    return built
