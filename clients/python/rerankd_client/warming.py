"""What `warm_documents` sends and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.enums import Truncation
from rerankd_client.requests import DocumentInput, encode_request


class WarmOptions(TypedDict, total=False):
    """What later calls will say of the documents. None is the same as unset."""

    model: str | None
    """An embedded model that keeps document vectors, such as `local/default`. Unset: the server's default model."""
    rank_fields: Sequence[str] | None
    """Names of the document fields that are scored, in this order."""
    max_chunks_per_doc: int | None
    """Passages that a long document is cut into."""
    max_tokens_per_doc: int | None
    """Most tokens of each document."""
    truncation: Truncation | str | None
    """What to do with documents longer than the model's window: "none", "end" or "start"."""


@dataclass(frozen=True, slots=True)
class WarmedDocuments:
    """What became of the documents; every one is counted once."""

    model: str
    """The model whose vectors they are."""
    warmed: int
    """Documents whose vectors were computed and are kept now."""
    already_warm: int
    """Documents whose vectors were kept already."""
    skipped: int
    """Documents that are blank, or for whose vectors there was no room."""
    warnings: tuple[str, ...]
    """What the caller should know, such as why documents were skipped."""


def encode_warm_request(documents: Iterable[DocumentInput], options: Mapping[str, Any]) -> pb.WarmDocumentsRequest:
    """Build the request; errors as `encode_request`, with which it shares names and meanings."""
    if wrong := options.keys() - WarmOptions.__annotations__.keys():
        raise TypeError(f"there is no option {sorted(wrong)[0]!r} of warm_documents")
    request = encode_request("", documents, options)
    warm = pb.WarmDocumentsRequest(
        model=request.model,
        documents=request.documents,
        rank_fields=request.rank_fields,
        truncation=request.truncation,
    )
    for name in ("max_chunks_per_doc", "max_tokens_per_doc"):
        if request.HasField(name):
            setattr(warm, name, getattr(request, name))
    return warm


def decode_warmed(message: pb.WarmDocumentsResponse) -> WarmedDocuments:
    """Read the response."""
    return WarmedDocuments(
        message.model, message.warmed, message.already_warm, message.skipped, tuple(message.warnings)
    )
