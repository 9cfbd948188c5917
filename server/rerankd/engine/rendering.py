"""Renders the documents of a request to the texts that models score, once per request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from msgspec import Struct, structs

from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine.blank_documents import blank_warnings
from rerankd.engine.block_text import block_text, value_text
from rerankd.engine.time_slice import TimeSlice
from rerankd_adapters.wire import whole_numbers

T = TypeVar("T")


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
    changed_indices: Collection[int] = ()
    """Indices in the request of documents whose text was changed before it is scored."""
    rank_fields: Sequence[str] = ()
    """Names of the fields of `objects` that are scored."""
    objects: Sequence[dict[str, Any] | None] | None = None
    """n items: the scored fields of a document that can be sent as an object, whole numbers as integers, or `None`;
    `None` if there is none. Other fields go nowhere: guardrails read what is scored."""
    images: Sequence[str | None] | None = None
    """n items: the image URL of a document, or `None`; `None` if no document has an image."""
    prior_scores: Sequence[float] | None = None
    """n scores of an earlier stage; `None` unless every document has one."""
    warnings: Sequence[str] = ()
    """For the caller, one sentence each."""
    mapped_parameters: Mapping[str, str] = {}
    """See `CallContext.mapped_parameters`."""
    warns_of_options: bool = True
    """Whether a model warns of `provider_options` that it does not have; a reranker warns for all of its members."""


def render_plain(request: RerankRequest) -> RenderedRequest:
    """Render a request all of whose documents are strings that are not blank: as `render` does, in one step."""
    documents: Sequence[Any] = request.documents
    warnings = _rank_field_warnings(request, documents, 0) if request.rank_fields else ()
    return RenderedRequest(request, request.query, documents, range(len(documents)), warnings=warnings)


async def render(request: RerankRequest, *, omits_blank: bool = False) -> RenderedRequest:
    """Render every document to text, fields and image; strings are not copied.

    The event loop is yielded every millisecond of objects, within one too: 100 fields take 50 to 200 us.

    Args:
        request: A valid request.
        omits_blank: Whether blank documents are omitted; otherwise the request must have none.
    """
    documents: Sequence[str | Document] = request.documents
    indices: Sequence[int] = range(len(documents))
    blank_indices: Sequence[int] = ()
    if omits_blank and _may_have_blank(documents):
        blank_indices = [index for index in indices if is_blank(documents[index])]
        if blank_indices:
            indices = [index for index in indices if not is_blank(documents[index])]
            documents = [documents[index] for index in indices]
    if are_strings(documents):
        warnings = [
            *blank_warnings(blank_indices, len(request.documents)),
            *_rank_field_warnings(request, documents, 0),
        ]
        return RenderedRequest(request, request.query, documents, indices, blank_indices, warnings=warnings)
    return await _render_mixed(request, documents, indices, blank_indices)


def select_documents(rendered: RenderedRequest, indices: Sequence[int], request: RerankRequest) -> RenderedRequest:
    """Return the request for some of the documents, without warnings; texts are not copied.

    Args:
        rendered: The request.
        indices: Index in the request of each document to keep, ascending; all are in `rendered.indices`.
        request: What is asked of them.
    """
    if len(indices) == len(rendered.indices):
        return structs.replace(rendered, request=request, blank_indices=(), warnings=())
    positions: Sequence[int] = indices
    if len(rendered.indices) != rendered.indices[-1] + 1:  # ascending, so positions equal indices otherwise
        positions = list(map({index: at for at, index in enumerate(rendered.indices)}.__getitem__, indices))

    def part(values: Sequence[T] | None) -> Sequence[T] | None:
        return None if values is None else list(map(values.__getitem__, positions))

    return structs.replace(
        rendered,
        request=request,
        texts=list(map(rendered.texts.__getitem__, positions)),
        indices=indices,
        blank_indices=(),
        objects=part(rendered.objects),
        images=part(rendered.images),
        prior_scores=part(rendered.prior_scores),
        warnings=(),
    )


def are_strings(documents: Sequence[str | Document]) -> TypeGuard[Sequence[str]]:
    """Whether every document is a string."""
    return set(map(type, documents)) <= {str}


def is_blank(document: str | Document) -> bool:
    """Whether a document has no text, field or image to score."""
    if isinstance(document, str):
        return not document or document.isspace()
    return not (document.fields or document.image or document.text.strip())


def _may_have_blank(documents: Sequence[str | Document]) -> bool:
    return not are_strings(documents) or not all(documents) or any(map(str.isspace, documents))


async def _render_mixed(
    request: RerankRequest,
    documents: Sequence[str | Document],
    indices: Sequence[int],
    blank_indices: Sequence[int],
) -> RenderedRequest:
    texts: list[str] = []
    objects = _Objects(request.rank_fields)
    time_slice = TimeSlice()
    unranked = 0
    for document in documents:
        if time_slice.is_over():
            await time_slice.rest()
        fields = _scored_fields(document, request.rank_fields)
        if fields is None:
            texts.append(_text_of(document))
        else:
            texts.append(await _render_fields(fields, time_slice))
        if not isinstance(document, str) and document.fields and (fields is None or fields is document.fields):
            unranked += 1
        objects.add(document, fields)
    return RenderedRequest(
        request=request,
        query=request.query,
        texts=texts,
        indices=indices,
        blank_indices=blank_indices,
        rank_fields=objects.names if objects.has_any else [],
        objects=objects.found if objects.has_any else None,
        images=_images(documents),
        prior_scores=_prior_scores(documents),
        warnings=[
            *blank_warnings(blank_indices, len(request.documents)),
            *_rank_field_warnings(request, documents, unranked),
        ],
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


class _Objects:
    """The documents of a call that can be sent as objects.

    A call has one list of field names for all documents: `rank_fields`, or without them the fields of the first
    document without text. A document whose scored fields differ from that list is sent as text.
    """

    __slots__ = ("found", "has_any", "names")

    def __init__(self, rank_fields: Sequence[str]) -> None:
        self.names = list(dict.fromkeys(rank_fields))
        """Of the scored fields."""
        self.found: list[dict[str, Any] | None] = []
        """One item a document: its scored fields, or `None`."""
        self.has_any = False
        """Whether any document can be sent as an object."""

    def add(self, document: str | Document, scored: dict[str, Any] | None) -> None:
        """Take the next document and its scored fields, `None` where its text is scored."""
        if scored is None or isinstance(document, str):
            self.found.append(None)
            return
        names = list(scored)
        self.names = self.names or names
        if names != self.names:
            self.found.append(None)
            return
        self.has_any = True
        self.found.append(whole_numbers(scored))


def _rank_field_warnings(request: RerankRequest, documents: Sequence[str | Document], unranked: int) -> list[str]:
    """Warn of documents that have none of `rank_fields` and are scored by their text or all fields.

    Args:
        request: Has the fields' names.
        documents: Those that are scored.
        unranked: How many of them have fields, but none of `rank_fields`.
    """
    if not request.rank_fields or not documents:
        return []
    has_fields = any(not isinstance(document, str) and document.fields for document in documents)
    if not has_fields and "text" not in request.rank_fields:
        return ["rank_fields were ignored: no document has fields; each was scored by its text"]
    if not unranked:
        return []
    said = "documents have none of these fields and were scored by all of their content"
    return [f"rank_fields: {unranked} of {len(documents)} {said}"]


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


async def _render_fields(fields: dict[str, Any], time_slice: TimeSlice) -> str:
    """Render several fields as block YAML, and the value alone of a document of one, whatever its type."""
    if len(fields) == 1:
        (value,) = fields.values()
        return value if isinstance(value, str) else await value_text(value, time_slice)
    return await block_text(fields, time_slice)
