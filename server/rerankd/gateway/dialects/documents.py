"""Documents as other services' clients send them: texts, the contract's own objects, or bare objects of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import Document

_OWN_KEYS: Final = frozenset({"text", "id", "fields", "prior_score", "metadata", "meta", "image"})


def as_documents(
    sent: Sequence[str | dict[str, Any]], rank_fields: Sequence[str] | None, name: str = "documents"
) -> list[str | Document]:
    """Read documents; strings are not copied.

    Raises:
        ServiceError: `INVALID_REQUEST` for a `text` that is no string.
    """
    if set(map(type, sent)) <= {str}:
        return sent  # type: ignore[return-value]
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
        raise _not_a_string(f"{path}.text", text)
    if item.keys() <= _OWN_KEYS and ("fields" in item or ranked.isdisjoint(item)):
        own = {key: value for key, value in item.items() if value is not None}
        if "meta" in own:
            own.setdefault("metadata", own.pop("meta"))
        try:
            return msgspec.convert(own, Document)
        except msgspec.ValidationError:
            pass
    return _read_bare(item, text)


def _read_bare(item: dict[str, Any], text: str | None) -> Document:
    """Read an object whose keys are the caller's own fields."""
    content = item.get("content")
    if text is None and isinstance(content, str):
        text = content
    elif text is None and isinstance(content, list):
        return _read_parts(content)
    name = item.get("id")
    has_content = any(value.strip() if isinstance(value, str) else value is not None for value in item.values())
    return Document(text=text or "", id=name if isinstance(name, str) else "", fields=item if has_content else None)


def _read_parts(parts: list[Any]) -> Document:
    """Read the content of a multimodal document: texts joined, and the first image."""
    texts, image = [], ""
    for part in parts:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        image = image or (url if isinstance(url, str) else "")
    return Document(text="\n".join(texts), image=image)


def _not_a_string(path: str, value: Any) -> ServiceError:
    kinds = {bool: "a boolean", int: "an integer", float: "a number", list: "an array", dict: "an object"}
    return invalid_request(
        [FieldViolation(path, f"{path} must be a string, was {kinds.get(type(value), 'no string')}")]
    )
