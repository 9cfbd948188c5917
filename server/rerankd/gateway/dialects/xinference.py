"""The rerank API of Xinference 4.1: Cohere's response, errors with `detail` only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Xinference(Dialect):
    """Xinference. Its clients send `kwargs` as text and `return_documents` as text or null."""

    name = "xinference"
    title = "Xinference"

    def map_parameters(self, _parsed: ParsedRequest, passed: Mapping[str, Any]) -> Mapping[str, str]:
        """Ignore the empty `kwargs` that Xinference's client always sends."""
        return {"kwargs": ""} if passed.get("kwargs", 0) in ("{}", "", {}) else {}

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, results and meta."""
        usage = token_usage(answer)
        tokens = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        return {
            "id": answer.id,
            "results": list(rows(answer, parsed, "relevance_score")),
            "meta": {"api_version": None, "billed_units": None, "tokens": tokens, "warnings": None},
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{detail}` and `message`."""
        return {"detail": error.message, "message": error.message}
