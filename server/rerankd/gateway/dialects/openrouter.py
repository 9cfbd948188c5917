"""OpenRouter's rerank API: documents are always returned, and usage includes the cost."""

from __future__ import annotations

from typing import Any

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class OpenRouter(Dialect):
    """OpenRouter. `error.code` is the HTTP status."""

    name = "openrouter"
    title = "OpenRouter"
    echoes_documents = True

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, model, provider, results and usage."""
        usage = answer.usage or messages.Usage()
        return {
            "id": answer.id,
            "model": answer.model,
            "provider": answer.extra_fields.provider if answer.extra_fields is not None else "",
            "results": list(rows(answer, parsed, "relevance_score")),
            "usage": {"total_tokens": usage.total_tokens, "search_units": usage.search_units, "cost": usage.cost},
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{error: {code, message}}`, with `message` for other clients."""
        return {
            "error": {"code": error.http_status, "message": error.message},
            "message": error.message,
            "detail": error.message,
        }
