"""Voyage AI's rerank API: https://docs.voyageai.com/reference/reranker-api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.gateway.dialects.superset import SharedBody, Superset
from rerankd.gateway.translation.answers import is_unknown_model
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest


class VoyageBody(SharedBody):
    """The shared body plus `top_k`, Voyage's name of `top_n`."""

    top_k: messages.Int32 | None = None


class Voyage(Superset):
    """Voyage: the shared response as a list. SDKs read `detail` of errors; `error` objects break those before 0.4."""

    name = "voyage"
    title = "Voyage AI"
    body_type = VoyageBody
    names: ClassVar[Names] = {**Superset.names, "top_n": ("top_n", "topN", "top_k")}
    list_kind = "list"
    keeps_text_of_strings = False

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the shared fields and `top_k`."""
        parsed = super().parse(body, keys)
        if parsed.request.top_n is None:
            parsed.request.top_n = body.top_k
        return parsed

    def status(self, error: ServiceError) -> int:
        """Return 400 for an unknown model, as Voyage does."""
        return 400 if is_unknown_model(error) else error.http_status

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{detail, message}`."""
        return {"detail": error.message, "message": error.message}
