"""What of a document a model gets to see: its text, its fields, its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from rerankd.contract.messages import Document, RerankRequest
from rerankd_adapters.base import ProviderCall
from rerankd_adapters.wire import whole_numbers

_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def document_texts(request: RerankRequest) -> list[str]:
    """Render every document to text: n texts in request order; strings are not copied."""
    if are_strings(request):
        return list(request.documents)  # type: ignore[arg-type]
    rank_fields = request.rank_fields
    return [
        document if type(document) is str else render_document(document, rank_fields)  # type: ignore[arg-type]
        for document in request.documents
    ]


def prior_scores(request: RerankRequest) -> list[float] | None:
    """Return the score an earlier stage gave each document: n numbers, or `None` unless every document has one."""
    scores = []
    for document in request.documents:
        score = None if isinstance(document, str) else document.prior_score
        if score is None:
            return None
        scores.append(score)
    return scores


def document_images(request: RerankRequest) -> list[str | None] | None:
    """Return the image of each document: n URLs or `None`s, or `None` when no document has one."""
    images = [None if isinstance(document, str) else document.image or None for document in request.documents]
    return images if any(images) else None


def document_objects(request: RerankRequest) -> tuple[list[str], list[dict[str, Any] | None] | None]:
    """Return the documents that can be sent as objects, and the names of the fields that are scored of them.

    One list of names goes with all documents of a call. It is `rank_fields`; without them, the fields of the
    first document that has no text. A document that is scored by anything else than exactly these has no
    object: its text says what is scored.

    Returns:
        The names, and for each of the n documents its fields or `None`; `None` when there is no object.
    """
    names = list(dict.fromkeys(request.rank_fields))
    objects: list[dict[str, Any] | None] = []
    for document in request.documents:
        chosen = None if isinstance(document, str) else _scored_fields(document, request.rank_fields)
        if chosen is None or isinstance(document, str):
            objects.append(None)
            continue
        names = names or list(chosen)
        objects.append(whole_numbers({**chosen, **(document.fields or {})}) if list(chosen) == names else None)
    return (names, objects) if any(fields is not None for fields in objects) else ([], None)


def are_strings(request: RerankRequest) -> bool:
    """Whether every document is text and nothing else."""
    return set(map(type, request.documents)) <= {str}


def rank_field_warnings(request: RerankRequest) -> list[str]:
    """Say of how many documents with fields none is ranked: they are scored by their text, or by all fields."""
    if not request.rank_fields or are_strings(request):
        return []
    count = sum(
        not any(_field(document, document.fields, name) is not None for name in request.rank_fields)
        for document in request.documents
        if not isinstance(document, str) and document.fields
    )
    total = len(request.documents)
    return (
        [f"rank_fields: {count} of {total} documents have none of these fields and were scored whole"] if count else []
    )


def document_contents(call: ProviderCall) -> Sequence[str | bytes]:
    """Return for each document of `call` what is scored of it, and nothing else: keys for a cache.

    A document that is text alone is that `str`, not copied. One with an image or fields is `bytes`, equal for
    two documents only when text, image and scored fields are. Compare `str` and `bytes` as different things.
    """
    if call.objects is None and call.images is None:
        return call.documents
    objects = call.objects or [None] * len(call.documents)
    images = call.images or [None] * len(call.documents)
    return [
        text if image is None and fields is None else _content(text, image, fields, call.rank_fields)
        for text, image, fields in zip(call.documents, images, objects, strict=True)
    ]


def _content(text: str, image: str | None, fields: Mapping[str, Any] | None, names: Sequence[str]) -> bytes:
    scored = None if fields is None else [(name, fields[name]) for name in names]
    return msgspec.json.encode((text, image, scored))


def render_document(document: Document, rank_fields: Sequence[str]) -> str:
    """Render one document: the fields named in `rank_fields`, else its text, else all its fields."""
    chosen = _scored_fields(document, rank_fields)
    return document.text if chosen is None else _render_fields(chosen)


def _scored_fields(document: Document, rank_fields: Sequence[str]) -> dict[str, Any] | None:
    """Return the fields that are scored, in order; `None` for a document that is scored by its text."""
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
    values = whole_numbers(fields)
    return str(yaml.dump(values, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)).rstrip("\n")
