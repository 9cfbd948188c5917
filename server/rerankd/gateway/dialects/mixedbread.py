"""Mixedbread's rerank API: https://www.mixedbread.com/api-reference/endpoints/reranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.translation.answers import text_of, token_usage
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.documents import as_documents
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest, as_truth


class MixedbreadBody(Struct):
    """Mixedbread's names for everything but model and query."""

    model: str | None = None
    query: QueryInput = None
    input: list[str | dict[str, Any]] | None = None
    top_k: messages.Int32 | None = None
    return_input: bool | str | None = None
    rank_fields: list[str] | None = None
    instruction: str | None = None


class Mixedbread(Dialect):
    """Mixedbread. Its clients read status and `detail` of errors, which the common form has."""

    name = "mixedbread"
    title = "Mixedbread"
    body_type = MixedbreadBody
    names: ClassVar[Names] = {"documents": ("input",), "top_n": ("top_k",)}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        sent = body.input or []
        request = RerankRequest(
            model=body.model or "",
            query=read_query(body.query),
            documents=as_documents(sent, body.rank_fields, "input"),
            top_n=body.top_k,
            rank_fields=body.rank_fields or [],
            instruction=body.instruction or "",
        )
        return ParsedRequest(request, sent, as_truth(body.return_input, "return_input") or False)

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build usage, model, data, object, top_k and return_input; old clients require each."""
        data = []
        for result in answer.results:
            row: dict[str, Any] = {"index": result.index, "score": result.relevance_score, "object": "rank_result"}
            if parsed.returns_documents:
                sent = parsed.documents[result.index]
                row["input"] = sent if isinstance(sent, dict) else text_of(sent)
            data.append(row)
        return {
            "usage": token_usage(answer),
            "model": answer.model,
            "data": data,
            "object": "list",
            "top_k": parsed.request.top_n or len(answer.results),
            "return_input": parsed.returns_documents,
        }
