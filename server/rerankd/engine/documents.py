"""The text of a document that a model gets to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rerankd.contract import Document, RerankRequest

_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def document_texts(request: RerankRequest) -> list[str]:
    """Render every document to text: n texts in request order; strings are not copied."""
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


def render_document(document: Document, rank_fields: Sequence[str]) -> str:
    """Render one document: the fields named in `rank_fields`, else its text, else all its fields."""
    fields = document.fields or {}
    if rank_fields and fields:
        named = {name: _field(document, fields, name) for name in rank_fields}
        chosen = {name: value for name, value in named.items() if value is not None}
        if chosen:
            return _render_fields(chosen)
    return document.text or _render_fields(fields)


def _field(document: Document, fields: dict[str, Any], name: str) -> Any:
    if name == "text" and "text" not in fields:
        return document.text or None
    return fields.get(name)


def _render_fields(fields: dict[str, Any]) -> str:
    if len(fields) == 1:
        (value,) = fields.values()
        if isinstance(value, str):
            return value
    return str(yaml.dump(fields, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)).rstrip("\n")
