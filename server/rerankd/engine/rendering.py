"""Renders the documents of a request to the texts that models score, once per request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from msgspec import Struct

from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine.block_text import block_text
from rerankd_adapters.wire import whole_numbers

_SLICE: Final = 4
"""Documents that are rendered before the event loop is yielded."""
_PLAIN_TYPES: Final = frozenset({str, int, bool, type(None)})
"""Of values that are sent as they are."""


class RenderedRequest(Struct, frozen=True):
    """Query and documents as they are scored. Immutable: to change a text, make a copy."""

    request: RerankRequest
    """The request as received; never changed."""
    query: str
    texts: Sequence[str]
    """n texts, n >= 0: one per scored document, in request order."""
    indices: Sequence[int]
    """n indices: that in the request of each text, ascending; blank documents may be omitted."""
    blank_indices: Sequence[int] = ()
    """Indices in the request of omitted blank documents, ascending."""
    rank_fields: Sequence[str] = ()
    """Names of the fields of `objects` that are scored."""
    objects: Sequence[dict[str, Any] | None] | None = None
    """n items: the fields of a document that can be sent as an object, or `None`; `None` if there is none."""
    images: Sequence[str | None] | None = None
    """n items: the image URL of a document, or `None`; `None` if no document has an image."""
    prior_scores: Sequence[float] | None = None
    """n scores of an earlier stage; `None` unless every document has one."""
    warnings: Sequence[str] = ()
    """For the caller, one sentence each."""


async def render(request: RerankRequest, *, omits_blank: bool = False) -> RenderedRequest:
    """Render every document to text, fields and image; strings are not copied.

    The event loop is yielded every few objects: one of 100 fields takes 50 us, or 500 where it is left to PyYAML.

    Args:
        request: A valid request.
        omits_blank: Whether blank documents are omitted; otherwise the request must have none.
    """
    documents: Sequence[str | Document] = request.documents
    indices: Sequence[int] = range(len(documents))
    blank_indices: Sequence[int] = ()
    if omits_blank:
        blank_indices = [index for index in indices if is_blank(documents[index])]
        if blank_indices:
            indices = [index for index in indices if not is_blank(documents[index])]
            documents = [documents[index] for index in indices]
    if are_strings(documents):
        return RenderedRequest(request, request.query, documents, indices, blank_indices)
    return await _render_mixed(request, documents, indices, blank_indices)


def are_strings(documents: Sequence[str | Document]) -> TypeGuard[Sequence[str]]:
    """Whether every document is a string."""
    return set(map(type, documents)) <= {str}


def is_blank(document: str | Document) -> bool:
    """Whether a document has no text, field or image to score."""
    if isinstance(document, str):
        return not document or document.isspace()
    return not (document.fields or document.image or document.text.strip())


async def _render_mixed(
    request: RerankRequest,
    documents: Sequence[str | Document],
    indices: Sequence[int],
    blank_indices: Sequence[int],
) -> RenderedRequest:
    chosen: list[dict[str, Any] | None] = []
    texts: list[str] = []
    for start in range(0, len(documents), _SLICE):
        if start:
            await asyncio.sleep(0)
        piece = documents[start : start + _SLICE]
        fields_of = [_scored_fields(document, request.rank_fields) for document in piece]
        chosen += fields_of
        texts += [
            _text_of(document) if fields is None else _render_fields(fields)
            for document, fields in zip(piece, fields_of, strict=True)
        ]
    names, objects = _objects(request, documents, chosen)
    return RenderedRequest(
        request=request,
        query=request.query,
        texts=texts,
        indices=indices,
        blank_indices=blank_indices,
        rank_fields=names,
        objects=objects,
        images=_images(documents),
        prior_scores=_prior_scores(documents),
        warnings=_rank_field_warnings(request, documents),
    )


def _text_of(document: str | Document) -> str:
    return document if isinstance(document, str) else document.text


def _prior_scores(documents: Sequence[str | Document]) -> list[float] | None:
    scores = []
    for document in documents:
        score = None if isinstance(document, str) else document.prior_score
        if score is None:
            return None
        scores.append(score)
    return scores


def _images(documents: Sequence[str | Document]) -> list[str | None] | None:
    images = [None if isinstance(document, str) else document.image or None for document in documents]
    return images if any(images) else None


def _objects(
    request: RerankRequest, documents: Sequence[str | Document], chosen: Sequence[dict[str, Any] | None]
) -> tuple[list[str], list[dict[str, Any] | None] | None]:
    """Return the names of the scored fields, and the documents that can be sent as objects.

    A call has one list of field names for all documents: `rank_fields`, or without them the fields of the first
    document without text. A document whose scored fields differ from that list is sent as text.
    """
    names = list(dict.fromkeys(request.rank_fields))
    objects: list[dict[str, Any] | None] = []
    for document, fields in zip(documents, chosen, strict=True):
        if fields is None or isinstance(document, str):
            objects.append(None)
            continue
        names = names or list(fields)
        objects.append(_sendable(fields, document.fields or {}) if list(fields) == names else None)
    return (names, objects) if any(fields is not None for fields in objects) else ([], None)


def _sendable(scored: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the scored fields and then the others, whole numbers as integers."""
    found = {**scored, **fields}
    return found if _PLAIN_TYPES.issuperset(map(type, found.values())) else whole_numbers(found)


def _rank_field_warnings(request: RerankRequest, documents: Sequence[str | Document]) -> list[str]:
    """Warn of documents that have none of `rank_fields` and are scored by their text or all fields."""
    if not request.rank_fields:
        return []
    count = sum(
        not any(_field(document, document.fields, name) is not None for name in request.rank_fields)
        for document in documents
        if not isinstance(document, str) and document.fields
    )
    total = len(documents)
    return (
        [f"rank_fields: {count} of {total} documents have none of these fields and were scored by all of their content"]
        if count
        else []
    )


def _scored_fields(document: str | Document, rank_fields: Sequence[str]) -> dict[str, Any] | None:
    """Return the scored fields, in order; `None` for a document scored by its text."""
    if isinstance(document, str):
        return None
    fields = document.fields or {}
    if rank_fields and fields:
        named = {name: _field(document, fields, name) for name in rank_fields}
        chosen = {name: value for name, value in named.items() if value is not None}
        if chosen:
            return chosen
    return None if document.text or not fields else fields


def _field(document: Document, fields: dict[str, Any], name: str) -> Any:
    if name == "text" and "text" not in fields:
        return document.text or None
    return fields.get(name)


def _render_fields(fields: dict[str, Any]) -> str:
    if len(fields) == 1:
        (value,) = fields.values()
        if isinstance(value, str):
            return value
    return block_text(fields)
