"""Voyage AI's rerank API: https://docs.voyageai.com/reference/reranker-api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.gateway.dialects.base import ParsedRequest, is_unknown_model
from rerankd.gateway.dialects.superset import SharedBody, Superset


class VoyageBody(SharedBody):
    """The shared body with Voyage's name for `top_n`."""

    top_k: messages.Int32 | None = None


class Voyage(Superset):
    """The shared answer as a list; the SDK looks for `detail` in errors, and before 0.4 fails on an `error` object."""

    name = "voyage"
    title = "Voyage AI"
    body_type = VoyageBody
    list_kind = "list"

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Read `top_k` besides what is shared."""
        parsed = super().parse(body, keys)
        if parsed.request.top_n is None:
            parsed.request.top_n = body.top_k
        return parsed

    def status(self, error: ServiceError) -> int:
        """Answer 400 for an unknown model, as Voyage does."""
        return 400 if is_unknown_model(error) else error.http_status

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{detail, message}`."""
        return {"detail": error.message, "message": error.message}
