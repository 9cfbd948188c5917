"""The rerank API of text-embeddings-inference 1.9: the response is a list, the request names no model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import Code, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.translation.answers import text_rows
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest, as_truth

_KINDS: Final[Mapping[Code, tuple[int, str]]] = {
    Code.INVALID_ARGUMENT: (422, "Validation"),
    Code.FAILED_PRECONDITION: (422, "Validation"),
    Code.RESOURCE_EXHAUSTED: (429, "Overloaded"),
    Code.UNAVAILABLE: (503, "Unhealthy"),
    Code.INTERNAL: (424, "Backend"),
}
"""Status and `error_type` by gRPC code; other codes keep their status and have type "Backend"."""


class TeiBody(Struct):
    """TEI's request, plus `model` and `top_n`, which some clients send."""

    query: QueryInput = None
    texts: list[str] | None = None
    model: str | None = None
    top_n: messages.Int32 | None = None
    truncate: bool | None = None
    truncation_direction: str | None = None
    raw_scores: bool | None = None
    return_text: bool | str | None = None


class Tei(Dialect):
    """TEI. Scores are probabilities unless `raw_scores` is set."""

    name = "tei"
    title = "Hugging Face text-embeddings-inference"
    body_type = TeiBody
    names: ClassVar[Names] = {"documents": ("texts",), "truncation": ("truncate",)}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        texts = body.texts or []
        request = RerankRequest(model=body.model or "", query=read_query(body.query), documents=texts, top_n=body.top_n)
        if body.truncate is not None:
            cut = (
                messages.Truncation.START
                if (body.truncation_direction or "").lower() == "left"
                else messages.Truncation.END
            )
            request.truncation = cut if body.truncate else messages.Truncation.NONE
        returns = as_truth(body.return_text, "return_text") or False
        return ParsedRequest(request, texts, returns, scale="logit" if body.raw_scores else "probability")

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the list of index, score and text."""
        return text_rows(answer, parsed, "score", "text")

    def headers(self, answer: RerankResponse) -> RawHeaders:
        """Return the tokens and times in TEI's headers."""
        usage, extra = answer.usage or messages.Usage(), answer.extra_fields or messages.ExtraFields()
        return [
            (b"x-compute-type", b"cpu"),
            (b"x-compute-tokens", b"%d" % usage.prompt_tokens),
            (b"x-total-time", b"%d" % round(extra.latency)),
        ]

    def status(self, error: ServiceError) -> int:
        """Return TEI's status: 422 for invalid requests, 400 for no texts, 424 for a failing model."""
        return _kind(error)[0]

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{error, error_type}` with `error` as text, and `message` and `detail` for other clients."""
        return {
            "error": error.message,
            "error_type": _kind(error)[1],
            "message": error.message,
            "detail": error.message,
        }


def _kind(error: ServiceError) -> tuple[int, str]:
    if any(violation.field == "texts" for violation in error.violations):
        return (400, "Empty") if "required" in error.message else (422, "Validation")
    if error.http_status in (413, 415):
        return error.http_status, "Validation"
    return _KINDS.get(error.code, (error.http_status, "Backend"))
