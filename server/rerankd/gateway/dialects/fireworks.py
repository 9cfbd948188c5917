"""Fireworks AI's rerank API: https://docs.fireworks.ai/api-reference/rerank-documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import text_rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody


class FireworksBody(RerankBody):
    """The common body plus `task`, Fireworks' name of the instruction."""

    task: str | None = None


class Fireworks(Dialect):
    """Fireworks. Documents are returned as strings by default."""

    name = "fireworks"
    title = "Fireworks AI"
    body_type = FireworksBody
    names: ClassVar[Names] = {"instruction": ("instruction", "task")}
    echoes_documents = True

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields and `task`."""
        parsed = super().parse(body, keys)
        parsed.request.instruction = body.task or parsed.request.instruction
        return parsed

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build object, model, data and usage."""
        return {
            "object": "list",
            "model": answer.model,
            "data": text_rows(answer, parsed, "relevance_score"),
            "usage": token_usage(answer),
        }
