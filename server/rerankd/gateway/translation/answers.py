"""Parts of responses and errors that several dialects share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.documents import as_returned
from rerankd.gateway.translation.parsed_request import ParsedRequest

encode: Final = msgspec.json.Encoder().encode


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


def kind_of(error: ServiceError) -> str:
    """Return the name of an error's gRPC code, such as "INVALID_ARGUMENT"."""
    return error.code.name


def is_unknown_model(error: ServiceError) -> bool:
    """Return whether the error says that the model does not exist."""
    return error.reason is Reason.MODEL_NOT_FOUND
