"""The rerank API of SGLang: no request shows it, so that it is reached by its mount or the header alone."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, numbered_error, text_rows


class SgLang(Dialect):
    """The answer is a bare list."""

    name = "sglang"
    title = "SGLang"
    scores_blank = True

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the list of index, score and document."""
        return text_rows(answer, parsed, "score")

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build OpenAI's form of an error, its code being the status."""
        return numbered_error(error)
