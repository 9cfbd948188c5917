"""Base class of the dialects: decodes request bodies, encodes responses and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.decoding import decode_with
from rerankd.gateway.dialects.documents import as_documents, as_returned
from rerankd.gateway.refusal import superset_body

Scale = Literal["own", "probability", "logit"]
"""Scale of a response's scores: the model's own, mapped to 0..1, or raw logits."""
NO_KEYS: Final[Mapping[str, msgspec.Raw]] = {}
encode: Final = msgspec.json.Encoder().encode
_TRUTHS: Final = {True: True, False: False, None: None, "true": True, "false": False, "": None}


@dataclass(slots=True)
class ParsedRequest:
    """A request in the contract's form, and what the response needs of the caller's own form."""

    request: RerankRequest
    documents: Sequence[Any] = ()
    """Documents as the caller sent them: strings or objects, in request order."""
    returns_documents: bool = False
    """Whether the dialect adds the documents to its response; the engine does not return them."""
    scale: Scale = "own"
    """Scale of the scores to return."""
    warnings: Sequence[str] = ()
    """One sentence for each part of the request that was ignored."""
    body: Any = None
    """The request as an instance of the dialect's `body_type`."""


class RerankBody(Struct):
    """Fields shared by the dialects with `query` and `documents`; null means absent."""

    model: str | None = None
    query: str | None = None
    documents: list[str | dict[str, Any]] | None = None
    top_n: messages.Int32 | None = None
    return_documents: bool | str | None = None
    rank_fields: list[str] | None = None
    max_chunks_per_doc: messages.Int32 | None = None
    max_tokens_per_doc: messages.Int32 | None = None
    priority: messages.Int32 | None = None
    instruction: str | None = None
    user: str | None = None


class Dialect:
    """One service's rerank API. Stateless; safe for any number of calls.

    A subclass overrides what differs: the type of the body, its conversion to the contract, and the form of responses
    and errors. The defaults suit services that resemble Cohere and Jina.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """Name of the service, for the table in docs/dialects.md."""
    body_type: ClassVar[type[Struct]] = RerankBody
    scores_blank: ClassVar[bool] = False
    """Whether a blank document is accepted and ranked last; otherwise the request is refused."""
    echoes_documents: ClassVar[bool] = False
    """Default of `return_documents`."""
    reads_zero_top_n_as_all: ClassVar[bool] = False

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(self.body_type).decode

    def read(self, data: bytes, keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode and parse a body.

        Args:
            data: JSON text in UTF-8.
            keys: Top-level keys of the body, if the dialect was identified by them.

        Raises:
            ServiceError: `INVALID_REQUEST`, with the field's path in the dialect's own names.
        """
        return self.parse(decode_with(self._decode, data, self.body_type, "the body"), keys)

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        documents = body.documents or []
        request = RerankRequest(
            model=body.model or "",
            query=body.query or "",
            documents=as_documents(documents, body.rank_fields),
            top_n=self.top_n(body.top_n),
            rank_fields=body.rank_fields or [],
            max_chunks_per_doc=body.max_chunks_per_doc,
            max_tokens_per_doc=body.max_tokens_per_doc,
            priority=body.priority,
            instruction=body.instruction or "",
            user=body.user or "",
        )
        returns = as_truth(body.return_documents, "return_documents")
        return ParsedRequest(request, documents, self.echoes_documents if returns is None else returns, body=body)

    def top_n(self, given: int | None) -> int | None:
        """Return the number of results to return; None for all."""
        return None if given == 0 and self.reads_zero_top_n_as_all else given

    def write(self, answer: RerankResponse, parsed: ParsedRequest) -> bytes:
        """Encode a response."""
        return encode(self.answer(answer, parsed))

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the body of a response."""
        raise NotImplementedError

    def headers(self, _answer: RerankResponse) -> RawHeaders:
        """List the response headers specific to this dialect."""
        return []

    def status(self, error: ServiceError) -> int:
        """Return the HTTP status of an error."""
        return error.http_status

    def refusal(self, error: ServiceError, request_id: str) -> Any:
        """Build the body of an error."""
        return superset_body(error, request_id)

    def refusal_headers(self, _error: ServiceError) -> RawHeaders:
        """List the error headers specific to this dialect."""
        return []


def rows(
    answer: RerankResponse, parsed: ParsedRequest, score: str, document: str = "document"
) -> Iterator[dict[str, Any]]:
    """Yield one object per result: `index`, the score under its name, and the document if documents are returned."""
    if not parsed.returns_documents:
        for result in answer.results:
            yield {"index": result.index, score: result.relevance_score}
        return
    documents = parsed.documents
    for result in answer.results:
        sent = as_returned(documents[result.index])
        yield {"index": result.index, score: result.relevance_score, document: sent}


def text_rows(
    answer: RerankResponse, parsed: ParsedRequest, score: str, document: str = "document"
) -> list[dict[str, Any]]:
    """List the objects of `rows`, with each document as its text."""
    listed = list(rows(answer, parsed, score, document))
    for row in listed:
        if document in row:
            row[document] = text_of(row[document])
    return listed


def text_of(document: Any) -> str:
    """Return the text of a document; an object without a text field is encoded as JSON."""
    if isinstance(document, str):
        return document
    if isinstance(document, messages.Document):
        return document.text
    text = document.get("text", document.get("content"))
    return text if isinstance(text, str) else encode(document).decode()


def token_usage(answer: RerankResponse) -> dict[str, int]:
    """Return the token counts in OpenAI's form."""
    usage = answer.usage or messages.Usage()
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def numbered_error(error: ServiceError) -> dict[str, Any]:
    """Build an error in OpenAI's form with the status as its code; `message` and `detail` serve other clients."""
    fields = [violation.field for violation in error.violations]
    told = {
        "message": error.message,
        "type": error.code.name.lower(),
        "param": fields[0] if fields else None,
        "code": error.http_status,
    }
    return {"error": told, "message": error.message, "detail": error.message}


def as_truth(value: Any, field_name: str) -> bool | None:
    """Convert a boolean that some clients send as text; None if absent.

    Raises:
        ServiceError: `INVALID_REQUEST`.
    """
    try:
        return _TRUTHS[value.lower() if isinstance(value, str) else value]
    except KeyError:
        rule = f"{field_name} must be a boolean, was the string {value[:50]!r}"
        raise invalid_request([FieldViolation(field_name, rule)]) from None


def kind_of(error: ServiceError) -> str:
    """Return the name of an error's gRPC code, such as "INVALID_ARGUMENT"."""
    return error.code.name


def is_unknown_model(error: ServiceError) -> bool:
    """Return whether the error says that the model does not exist."""
    return error.reason is Reason.MODEL_NOT_FOUND
