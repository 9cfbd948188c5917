"""The rerank API of vLLM 0.33: documents are always returned, and `top_n` 0 means all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import (
    Dialect,
    ParsedRequest,
    RerankBody,
    numbered_error,
    rows,
    text_of,
    token_usage,
)


class VllmBody(RerankBody):
    """The common body; query and documents may have content parts, and `documents` may be a single string."""

    query: str | dict[str, Any] | None = None  # type: ignore[assignment]
    documents: str | list[str | dict[str, Any]] | None = None  # type: ignore[assignment]
    truncate_prompt_tokens: int | None = None


class Vllm(Dialect):
    """vLLM. Blank documents are scored, as by a cross-encoder."""

    name = "vllm"
    title = "vLLM"
    body_type = VllmBody
    scores_blank = True
    echoes_documents = True
    reads_zero_top_n_as_all = True

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields; `truncate_prompt_tokens` of -1 or more allows truncation."""
        if isinstance(body.documents, str):
            body.documents = [body.documents]
        if isinstance(body.query, dict):
            body.query = text_of(body.query)
        parsed = super().parse(body, keys)
        if body.truncate_prompt_tokens is not None:
            parsed.request.truncation = messages.Truncation.END
        return parsed

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, model, usage and results."""
        return {
            "id": answer.id,
            "model": answer.model,
            "usage": token_usage(answer),
            "results": list(rows(answer, parsed, "relevance_score")),
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)
