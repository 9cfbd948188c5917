"""NVIDIA's NIM rerank API, self-hosted `/v1/ranking` and hosted `/v1/retrieval/.../reranking`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.refusal import superset_body
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.documents import as_documents
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest

_TRUNCATIONS: Final = {"NONE": messages.Truncation.NONE, "END": messages.Truncation.END}


class NimBody(Struct):
    """NIM's request, plus the limits that LiteLLM and RAGFlow send although NIM has none."""

    model: str | None = None
    query: QueryInput = None
    passages: list[dict[str, Any]] | None = None
    truncate: str | None = None
    top_k: messages.Int32 | None = None
    top_n: messages.Int32 | None = None


class Nim(Dialect):
    """NIM. Scores are raw logits; clients apply the logistic function."""

    name = "nim"
    title = "NVIDIA NIM"
    body_type = NimBody
    names: ClassVar[Names] = {"documents": ("passages",), "top_n": ("top_n", "top_k"), "truncation": ("truncate",)}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        passages = body.passages or []
        request = RerankRequest(
            model=body.model or "",
            query=read_query(body.query),
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


def truncation_of(name: Any, field: str = "truncate") -> messages.Truncation:
    """Convert "NONE" and "END" of NIM and Pinecone, in any case; None means the model's default.

    Raises:
        ServiceError: `INVALID_REQUEST` for another value.
    """
    if name is None:
        return messages.Truncation.UNSPECIFIED
    found = _TRUNCATIONS.get(name.upper()) if isinstance(name, str) else None
    if found is None:
        rule = f"{field} must be NONE or END, was {str(name)[:50]!r}"
        raise invalid_request([FieldViolation(field, rule)])
    return found
