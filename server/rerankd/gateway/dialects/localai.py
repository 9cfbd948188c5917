"""The rerank API of LocalAI: https://localai.io/features/reranker/."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import numbered_error, rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class LocalAi(Dialect):
    """LocalAI: Jina's response, OpenAI's errors."""

    name = "localai"
    title = "LocalAI"

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build model, usage and results."""
        return {
            "model": answer.model,
            "usage": token_usage(answer),
            "results": list(rows(answer, parsed, "relevance_score")),
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)
