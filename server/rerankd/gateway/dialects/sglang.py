"""The rerank API of SGLang. Requests do not identify it: it is selected by its mount or `x-rerank-dialect` only."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, numbered_error, text_rows


class SgLang(Dialect):
    """SGLang. The response is a list."""

    name = "sglang"
    title = "SGLang"
    scores_blank = True

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the list of index, score and document."""
        return text_rows(answer, parsed, "score")

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)
