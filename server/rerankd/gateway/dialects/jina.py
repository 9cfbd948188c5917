"""Jina AI's rerank API: https://api.jina.ai/redoc#tag/rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Jina(Dialect):
    """Jina. Its clients read `detail` of errors, which the common form has."""

    name = "jina"
    title = "Jina AI"

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build model, usage and results."""
        return {
            "model": answer.model,
            "object": "list",
            "usage": token_usage(answer),
            "results": list(rows(answer, parsed, "relevance_score")),
        }
