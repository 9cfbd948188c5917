"""The parsed form of a dialect's request: in the contract's terms, with what the response needs of the original."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest
from rerankd.engine.scale import Scale
from rerankd.gateway.translation.content import Content, QueryInput

_TRUTHS: Final = {True: True, False: False, None: None, "true": True, "false": False, "": None}


class QueryPart(NamedTuple):
    """One query of a request that has several, with its documents."""

    query: Content
    documents: list[str | messages.Document]
    indices: Sequence[int]
    """Index of the pair in the request, one a document."""


class ParsedRequest(Struct):
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
    parts: Sequence[QueryPart] = ()
    """The queries of a request that has several; `request` then has neither query nor documents."""
    body: Any = None
    """The request as an instance of the dialect's `body_type`."""
    own_names: Collection[str] = ()
    """Names in `provider_options` that were top-level fields of the body."""
    mapped: dict[str, str] = field(default_factory=dict)
    """Names in `provider_options` whose meaning `request` and `scale` have too; see `CallContext.mapped_parameters`."""


class RerankBody(Struct):
    """Fields shared by the dialects with `query` and `documents`; null means absent."""

    model: str | None = None
    query: QueryInput = None
    documents: list[str | dict[str, Any]] | None = None
    top_n: messages.Int32 | None = None
    return_documents: bool | str | None = None
    rank_fields: list[str] | None = None
    max_chunks_per_doc: messages.Int32 | None = None
    max_tokens_per_doc: messages.Int32 | None = None
    priority: messages.Int32 | None = None
    instruction: str | None = None
    user: str | None = None


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
