"""The rerank API of Infinity 0.0.78: documents come back as plain strings, scores as logits if wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import (
    Dialect,
    ParsedRequest,
    RerankBody,
    numbered_error,
    text_rows,
    token_usage,
)


class InfinityBody(RerankBody):
    """The common body, and whether scores are raw."""

    raw_scores: bool | None = None


class Infinity(Dialect):
    """infinity-client raises on any `object` but "rerank"."""

    name = "infinity"
    title = "Infinity"
    body_type = InfinityBody
    scores_blank = True

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Read what is common, and the scale."""
        parsed = super().parse(body, keys)
        parsed.scale = "logit" if body.raw_scores else "probability"
        return parsed

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build object, id, model, results and usage."""
        return {
            "object": "rerank",
            "id": answer.id,
            "created": int(time.time()),
            "model": answer.model,
            "results": text_rows(answer, parsed, "relevance_score"),
            "usage": token_usage(answer),
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build OpenAI's form of an error, its code being the status."""
        return numbered_error(error)
