"""Google's ranking API: https://cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/rankingConfigs/rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import DOMAIN, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.translation.answers import kind_of
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest

_TYPES: Final = "type.googleapis.com/google.rpc"


class Record(Struct, omit_defaults=True):
    """One document; results refer to it by its id."""

    id: str = ""
    title: str = ""
    content: str = ""


class VertexBody(Struct, rename="camel"):
    """Google's request."""

    model: str | None = None
    query: QueryInput = None
    records: list[Record] | None = None
    top_n: messages.Int32 | None = None
    ignore_record_details_in_response: bool | None = None


class Vertex(Dialect):
    """Google. Records are identified by id and returned by default."""

    name = "vertex"
    title = "Google Vertex AI ranking"
    body_type = VertexBody
    names: ClassVar[Names] = {"documents": ("records",), "top_n": ("topN",)}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request; an absent or negative `topN` means all."""
        records = body.records or []
        request = RerankRequest(
            model=body.model or "",
            query=read_query(body.query),
            documents=["\n".join(filter(None, (record.title, record.content))) for record in records],
            top_n=body.top_n if (body.top_n or 0) > 0 else None,
        )
        return ParsedRequest(request, records, returns_documents=not body.ignore_record_details_in_response)

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of a record's content; of its title if that is the longer text."""
        path, record = f"records[{index}]", parsed.documents[index]
        if not part:
            return path
        return f"{path}.title" if len(record.title) > len(record.content) else f"{path}.content"

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
        details: list[dict[str, Any]] = [
            {"@type": f"{_TYPES}.ErrorInfo", "reason": error.reason.value, "domain": DOMAIN}
        ]
        if error.violations:
            violations = [{"field": each.field, "description": each.description} for each in error.violations]
            details.append({"@type": f"{_TYPES}.BadRequest", "fieldViolations": violations})
        return {
            "error": {
                "code": error.http_status,
                "message": error.message,
                "status": kind_of(error),
                "details": details,
            }
        }
