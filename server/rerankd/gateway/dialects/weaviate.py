"""The API of Weaviate's reranker-transformers container, told by its `property`."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, RerankBody, text_of


class WeaviateBody(RerankBody):
    """The common body, and the property that the documents were taken from, which is sent back."""

    property: str | None = None


class Weaviate(Dialect):
    """Every document is answered with its text; the server sends no model and no key."""

    name = "weaviate"
    title = "Weaviate reranker-transformers"
    body_type = WeaviateBody
    scores_blank = True

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
        """Build `{error}` as text, with the message where other clients look as well."""
        return {"error": error.message, "message": error.message, "detail": error.message}
