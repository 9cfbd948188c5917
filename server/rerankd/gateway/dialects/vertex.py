"""Google's ranking API: https://cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/rankingConfigs/rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import DOMAIN, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, kind_of


class Record(Struct, omit_defaults=True):
    """One document; results refer to it by its id."""

    id: str = ""
    title: str = ""
    content: str = ""


class VertexBody(Struct, rename="camel"):
    """Google's request."""

    model: str | None = None
    query: str | None = None
    records: list[Record] | None = None
    top_n: messages.Int32 | None = None
    ignore_record_details_in_response: bool | None = None


class Vertex(Dialect):
    """Google. Records are identified by id and returned by default."""

    name = "vertex"
    title = "Google Vertex AI ranking"
    body_type = VertexBody

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request; an absent or negative `topN` means all."""
        records = body.records or []
        request = RerankRequest(
            model=body.model or "",
            query=body.query or "",
            documents=["\n".join(filter(None, (record.title, record.content))) for record in records],
            top_n=body.top_n if (body.top_n or 0) > 0 else None,
        )
        return ParsedRequest(request, records, returns_documents=not body.ignore_record_details_in_response)

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build records."""
        records = []
        for result in answer.results:
            sent = parsed.documents[result.index]
            row = {"id": sent.id}
            if parsed.returns_documents:
                row |= {"title": sent.title, "content": sent.content}
            records.append({**row, "score": result.relevance_score})
        return {"records": records}

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `google.rpc.Status` in Google's JSON form."""
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.reason.value, "domain": DOMAIN}
        return {
            "error": {
                "code": error.http_status,
                "message": error.message,
                "status": kind_of(error),
                "details": [reason],
            }
        }
