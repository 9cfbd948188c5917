"""Documents as other services' clients send them: texts, the contract's own objects, or bare objects of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.messages import Document
from rerankd.gateway.translation.content import kind_of, read_parts

_OWN_KEYS: Final = frozenset({"text", "id", "fields", "prior_score", "metadata", "meta", "image"})


def as_documents(
    sent: Sequence[str | dict[str, Any]], rank_fields: Sequence[str] | None, name: str = "documents"
) -> list[str | Document]:
    """Read documents; strings are not copied.

    Raises:
        ServiceError: `INVALID_REQUEST` for a `text` that is no string, or a part that is neither text nor image.
    """
    if set(map(type, sent)) <= {str}:
        return sent  # type: ignore[return-value]  # the types were compared
    ranked = frozenset(rank_fields or ()) - {"text"}
    return [
        item if isinstance(item, str) else _read_object(item, ranked, f"{name}[{index}]")
        for index, item in enumerate(sent)
    ]


def as_returned(sent: Any) -> Any:
    """Return the document of a result: an object as it came, a string as `{"text": ...}`."""
    return {"text": sent} if isinstance(sent, str) else sent


def _read_object(item: dict[str, Any], ranked: frozenset[str], path: str) -> Document:
    text = item.get("text")
    if text is not None and not isinstance(text, str):
        rule = f"{path}.text must be a string, was {kind_of(text)}"
        raise invalid_request([FieldViolation(f"{path}.text", rule)])
    if item.keys() <= _OWN_KEYS and ("fields" in item or ranked.isdisjoint(item)):
        own = {key: value for key, value in item.items() if value is not None}
        if "meta" in own:
            own.setdefault("metadata", own.pop("meta"))
        try:
            return msgspec.convert(own, Document)
        except msgspec.ValidationError:
            pass
    return _read_bare(item, text, path)


def _read_bare(item: dict[str, Any], text: str | None, path: str) -> Document:
    """Read an object whose keys are the caller's own fields."""
    content = item.get("content")
    if text is None and isinstance(content, str):
        text = content
    elif text is None and isinstance(content, list):
        found = read_parts(content, f"{path}.content")
        return Document(text=found.text, image=found.image)
    name = item.get("id")
    has_content = any(value.strip() if isinstance(value, str) else value is not None for value in item.values())
    return Document(text=text or "", id=name if isinstance(name, str) else "", fields=item if has_content else None)
