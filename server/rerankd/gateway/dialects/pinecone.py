"""Pinecone's rerank API: https://docs.pinecone.io/reference/api/latest/inference/rerank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.nim import truncation_of
from rerankd.gateway.translation.answers import kind_of, rows
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody

_DOCUMENTS_A_UNIT: Final = 100
_SHOWN_CHARS: Final = 50
_SHOWN_NAMES: Final = 5


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
        parsed.request.truncation = truncation_of((body.parameters or {}).get("truncate"), "parameters.truncate")
        return parsed

    def map_parameters(self, _parsed: ParsedRequest, passed: Mapping[str, Any]) -> Mapping[str, str]:
        """Name the parameters that only Pinecone's models have."""
        names = [name[:_SHOWN_CHARS] for name in passed.get("parameters", {}) if name != "truncate"]
        listed = ", ".join(f"parameters.{name}" for name in names[:_SHOWN_NAMES])
        return {"parameters": f"{listed} was ignored: only models of Pinecone have it"} if names else {}

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
