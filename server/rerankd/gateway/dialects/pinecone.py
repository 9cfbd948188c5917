"""Pinecone's rerank API: https://docs.pinecone.io/reference/api/latest/inference/rerank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, RerankBody, kind_of, rows
from rerankd.gateway.dialects.nim import truncation_of

_DOCUMENTS_A_UNIT: Final = 100


class PineconeBody(RerankBody):
    """The common body plus the model's `parameters`."""

    parameters: dict[str, Any] | None = None


class Pinecone(Dialect):
    """Pinecone. Documents are objects in requests and responses, and are returned by default."""

    name = "pinecone"
    title = "Pinecone"
    body_type = PineconeBody
    echoes_documents = True

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields and `parameters.truncate`."""
        parsed = super().parse(body, keys)
        truncate = (body.parameters or {}).get("truncate")
        parsed.request.truncation = truncation_of(truncate if isinstance(truncate, str) else None)
        return parsed

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build model, data and usage; the client requires all three."""
        units = answer.usage.search_units if answer.usage is not None else 0
        return {
            "model": answer.model,
            "data": list(rows(answer, parsed, "score")),
            "usage": {"rerank_units": units or math.ceil(len(parsed.documents) / _DOCUMENTS_A_UNIT)},
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{error: {code, message}, status}`, with `message` for other clients."""
        return {
            "error": {"code": kind_of(error), "message": error.message},
            "status": error.http_status,
            "message": error.message,
            "detail": error.message,
        }
