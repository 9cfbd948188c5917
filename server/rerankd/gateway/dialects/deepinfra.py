"""DeepInfra's rerank API: query-document pairs, scores in request order, the model in the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.dialects.base import Dialect, ParsedRequest


class DeepInfraBody(Struct):
    """DeepInfra's request: one query for all documents, or the same query repeated for each."""

    queries: list[str] | None = None
    documents: list[str] | None = None
    instruction: str | None = None


class DeepInfra(Dialect):
    """DeepInfra. Every document gets a score, blank ones included."""

    name = "deepinfra"
    title = "DeepInfra"
    body_type = DeepInfraBody
    scores_blank = True

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request.

        Raises:
            ServiceError: `INVALID_REQUEST` for queries that differ: their scores would not compare.
        """
        queries, documents = body.queries or [""], body.documents or []
        if len(set(queries)) > 1:
            raise invalid_request([FieldViolation("queries", "queries must be the same for all documents of a call")])
        request = RerankRequest(query=queries[0], documents=documents, instruction=body.instruction or "")
        return ParsedRequest(request, documents)

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build scores, input_tokens, request_id and inference_status."""
        usage, extra = answer.usage or messages.Usage(), answer.extra_fields or messages.ExtraFields()
        scores = {result.index: result.relevance_score for result in answer.results}
        return {
            "scores": [scores[index] for index in range(len(parsed.documents))],
            "input_tokens": usage.prompt_tokens,
            "request_id": answer.id,
            "inference_status": {
                "status": "succeeded",
                "runtime_ms": round(extra.latency),
                "cost": usage.cost or 0.0,
                "tokens_input": usage.prompt_tokens,
                "tokens_generated": usage.completion_tokens,
            },
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{detail: {error}}`, with `message` for other clients."""
        return {"detail": {"error": error.message}, "message": error.message}
