"""The API of Weaviate's reranker-transformers container, identified by `property`."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import text_of
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody


class WeaviateBody(RerankBody):
    """The common body plus `property`, the field the documents come from, which is echoed."""

    property: str | None = None


class Weaviate(Dialect):
    """Weaviate. Every result has its document's text; the client sends neither model nor key."""

    name = "weaviate"
    title = "Weaviate reranker-transformers"
    body_type = WeaviateBody

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build query, property and scores."""
        return {
            "query": parsed.request.query,
            "property": parsed.body.property,
            "scores": [
                {"document": text_of(parsed.documents[result.index]), "score": result.relevance_score}
                for result in answer.results
            ],
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{error}` with `error` as text, and `message` for other clients."""
        return {"error": error.message, "message": error.message, "detail": error.message}
