"""NVIDIA's NIM rerank API, self-hosted `/v1/ranking` and hosted `/v1/retrieval/.../reranking`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, rows, token_usage
from rerankd.gateway.dialects.documents import as_documents
from rerankd.gateway.refusal import superset_body


class NimQuery(Struct):
    """The query."""

    text: str | None = None


class NimBody(Struct):
    """NIM's request, plus the limits that LiteLLM and RAGFlow send although NIM has none."""

    model: str | None = None
    query: NimQuery | None = None
    passages: list[dict[str, Any]] | None = None
    truncate: str | None = None
    top_k: messages.Int32 | None = None
    top_n: messages.Int32 | None = None


class Nim(Dialect):
    """NIM. Scores are raw logits; clients apply the logistic function."""

    name = "nim"
    title = "NVIDIA NIM"
    body_type = NimBody

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        passages = body.passages or []
        request = RerankRequest(
            model=body.model or "",
            query=(body.query.text or "") if body.query is not None else "",
            documents=as_documents(passages, None, "passages"),
            top_n=body.top_k if body.top_n is None else body.top_n,
            truncation=truncation_of(body.truncate),
        )
        return ParsedRequest(request, passages, scale="logit")

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build rankings and usage."""
        return {"rankings": list(rows(answer, parsed, "logit")), "usage": token_usage(answer)}

    def refusal(self, error: ServiceError, request_id: str) -> Any:
        """Build `{status, title, detail, requestId}` plus the common form's keys."""
        try:
            title = HTTPStatus(error.http_status).phrase
        except ValueError:
            title = error.code.name
        return {**superset_body(error, request_id), "title": title, "requestId": request_id}


def truncation_of(name: str | None) -> messages.Truncation:
    """Convert "NONE" and "END" of NIM and Pinecone; other values mean the model's default."""
    try:
        return messages.Truncation((name or "unspecified").lower())
    except ValueError:
        return messages.Truncation.UNSPECIFIED
