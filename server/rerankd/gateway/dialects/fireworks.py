"""Fireworks AI's rerank API: https://docs.fireworks.ai/api-reference/rerank-documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import Asked, Dialect, RerankBody, text_rows, token_usage


class FireworksBody(RerankBody):
    """The common body, and the instruction under Fireworks' name."""

    task: str | None = None


class Fireworks(Dialect):
    """Documents are returned, as strings, unless the request says otherwise."""

    name = "fireworks"
    title = "Fireworks AI"
    body_type = FireworksBody
    echoes_documents = True

    def ask(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> Asked:
        """Read what is common, and `task`."""
        asked = super().ask(body, keys)
        asked.request.instruction = body.task or asked.request.instruction
        return asked

    def answer(self, answer: RerankResponse, asked: Asked) -> Any:
        """Build object, model, data and usage."""
        return {
            "object": "list",
            "model": answer.model,
            "data": text_rows(answer, asked, "relevance_score"),
            "usage": token_usage(answer),
        }
