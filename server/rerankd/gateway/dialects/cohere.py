"""Cohere's rerank API, v1 and v2: https://docs.cohere.com/reference/rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract import RerankResponse
from rerankd.errors import ServiceError
from rerankd.gateway.dialects.base import Asked, encode
from rerankd.gateway.dialects.superset import Answer, Superset, encode_results, meta_of


class Cohere(Superset):
    """The answer and the errors as Cohere's own; the body is read as the shared one, of which it is a part.

    Objects among the documents, `rank_fields` and `return_documents` are gone from v2, but gateways and search engines
    send them to it, so both versions know them.
    """

    name = "cohere"
    title = "Cohere v1 and v2, Azure AI"

    def write(self, answer: RerankResponse, asked: Asked) -> bytes:
        """Encode id, results and meta."""
        return encode(Answer(id=answer.id, results=encode_results(answer, asked), meta=meta_of(answer, asked)))

    def refusal(self, error: ServiceError, request_id: str) -> Any:
        """Build `{id, message}`; the SDK tells errors apart by their status."""
        return {"id": request_id, "message": error.message}
