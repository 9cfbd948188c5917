"""The rerank API of Infinity 0.0.78: documents come back as plain strings, scores as logits on request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import numbered_error, text_rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody


class InfinityBody(RerankBody):
    """The common body plus `raw_scores`."""

    raw_scores: bool | None = None


class Infinity(Dialect):
    """Infinity. infinity-client raises if `object` is not "rerank"."""

    name = "infinity"
    title = "Infinity"
    body_type = InfinityBody

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields and the scale."""
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
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)
