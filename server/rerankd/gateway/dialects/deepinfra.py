"""DeepInfra's rerank API: query-document pairs, scores in request order, the model in the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names, part_of_query
from rerankd.gateway.translation.parsed_request import ParsedRequest


class DeepInfraBody(Struct):
    """DeepInfra's request: one query for all documents, or the same query repeated for each."""

    queries: str | list[QueryInput] | None = None
    documents: list[str] | None = None
    instruction: str | None = None


class DeepInfra(Dialect):
    """DeepInfra."""

    name = "deepinfra"
    title = "DeepInfra"
    body_type = DeepInfraBody
    names: ClassVar[Names] = {"query": ("queries",)}
    other_lists = ("queries",)

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request.

        Raises:
            ServiceError: `INVALID_REQUEST` for queries that differ: their scores would not compare.
        """
        sent, documents = body.queries or [""], body.documents or []
        each = [sent] if isinstance(sent, str) else sent
        queries = [read_query(query, f"queries[{index}]") for index, query in enumerate(each)]
        if len(set(queries)) > 1:
            raise invalid_request([FieldViolation("queries", "queries must be the same for all documents of a call")])
        request = RerankRequest(query=queries[0], documents=documents, instruction=body.instruction or "")
        return ParsedRequest(request, documents)

    def query_path(self, parsed: ParsedRequest, _index: int | None) -> str:
        """Return the path of the query, or of the first of those that repeat it."""
        queries = parsed.body.queries
        return part_of_query("queries[0]", queries[0]) if isinstance(queries, list) and queries else "queries"

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
