"""SiliconFlow's rerank API: https://docs.siliconflow.com/en/api-reference/rerank/create-rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class SiliconFlow(Dialect):
    """SiliconFlow: Jina's results, its own token counts."""

    name = "siliconflow"
    title = "SiliconFlow"

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, results, tokens and meta."""
        usage = token_usage(answer)
        tokens = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        return {
            "id": answer.id,
            "results": list(rows(answer, parsed, "relevance_score")),
            "tokens": tokens,
            "meta": {"tokens": tokens, "billed_units": tokens},
            "usage": usage,
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{code, message, data}` and `detail`."""
        return {"code": error.http_status, "message": error.message, "data": None, "detail": error.message}
