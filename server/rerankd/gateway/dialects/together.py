"""Together AI's rerank API: https://docs.together.ai/reference/rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Together(Dialect):
    """Together. Vercel's AI SDK requires the three token counts and `error.message`, which the common form has."""

    name = "together"
    title = "Together AI"

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, object, model, results and usage."""
        return {
            "id": answer.id,
            "object": "rerank",
            "model": answer.model,
            "results": list(rows(answer, parsed, "relevance_score")),
            "usage": token_usage(answer),
        }
