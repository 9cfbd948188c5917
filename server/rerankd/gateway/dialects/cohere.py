"""Cohere's rerank API, v1 and v2: https://docs.cohere.com/reference/rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.dialects.superset import Answer, Superset, meta_of, results_of
from rerankd.gateway.translation.answers import encode
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Cohere(Superset):
    """Cohere. Errors, `results` and `meta` have Cohere's form; bodies are read as in the shared dialect.

    Objects among the documents, `rank_fields` and `return_documents` are gone from v2, but gateways and search engines
    send them to it, so both versions know them.
    """

    name = "cohere"
    title = "Cohere v1 and v2, Azure AI"
    keeps_text_of_strings = False

    def write(self, answer: RerankResponse, parsed: ParsedRequest) -> bytes:
        """Encode id, results and meta, plus fields that Cohere does not have: model, usage, extra_fields."""
        return encode(
            Answer(
                id=answer.id,
                model=answer.model,
                results=results_of(answer, parsed),
                usage=answer.usage,
                meta=meta_of(answer, parsed),
                extra_fields=answer.extra_fields,
            )
        )

    def refusal(self, error: ServiceError, request_id: str) -> Any:
        """Build `{id, message}`; the SDK chooses the exception by the status."""
        return {"id": request_id, "message": error.message}
