"""Queries and documents made of parts: `{"text": ...}`, `{"content": [...]}`, or a list of text and image parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request

_KINDS: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_SHOWN_CHARS: Final = 50
_IMAGE_KEYS: Final = ("image_url", "image")
_PART_KINDS: Final = frozenset({"", "text", "image", "image_url", "input_text", "input_image"})

QueryInput = str | dict[str, Any] | list[Any] | None
"""A query as clients send it: a text, an object with text or content, or a list of parts."""


class Content(NamedTuple):
    """Text and image of a query or document."""

    text: str
    """The texts, joined by line breaks; empty without any."""
    image: str
    """URL of the image; empty without one."""


def read_query(sent: QueryInput, field: str = "query") -> str:
    """Return the text of a query, for services whose queries are text.

    Args:
        sent: The query as sent.
        field: Its name in errors.

    Raises:
        ServiceError: `INVALID_REQUEST` for a query without text, or with parts that are neither text nor image;
            `CAPABILITY_UNSUPPORTED` for an image.
    """
    if isinstance(sent, str):
        return sent
    found = read_content(sent, field)
    if found.image:
        rule = f"{field}: the query has an image; this service's queries are text, use /v1/rerank with query_image"
        raise ServiceError(Reason.CAPABILITY_UNSUPPORTED, rule, violations=[FieldViolation(field, rule)])
    return found.text


def read_content(sent: QueryInput, field: str) -> Content:
    """Read a query in any of its forms.

    Raises:
        ServiceError: `INVALID_REQUEST`, naming the part.
    """
    if sent is None or isinstance(sent, str):
        return Content(sent or "", "")
    if isinstance(sent, list):
        return _read_list(sent, field)
    content = sent.get("content")
    if isinstance(content, str | list):
        return read_content(content, f"{field}.content")
    if "text" in sent or any(key in sent for key in _IMAGE_KEYS):
        return read_parts([{key: value for key, value in sent.items() if key != "type"}], field, is_list=False)
    if not sent:
        return Content("", "")
    raise _refuse(
        field, f"{field} must have text or content, has {', '.join(key[:_SHOWN_CHARS] for key in sent)[:200]}"
    )


def read_parts(parts: Sequence[Any], field: str, *, is_list: bool = True) -> Content:
    """Read content parts: `{"type": "text", "text": ...}`, `{"type": "image_url", "image_url": {"url": ...}}`, texts.

    Args:
        parts: The parts, in order.
        field: Name of the list in errors.
        is_list: Whether the parts are numbered in errors.

    Raises:
        ServiceError: `INVALID_REQUEST` for a part of another kind, or a second image.
    """
    texts: list[str] = []
    image = ""
    for number, part in enumerate(parts):
        path = f"{field}[{number}]" if is_list else field
        found = _read_part(part, path)
        if found.text:
            texts.append(found.text)
        if found.image and image:
            raise _refuse(path, f"{path} is a second image; one is taken")
        image = image or found.image
    return Content("\n".join(texts), image)


def _read_list(parts: list[Any], field: str) -> Content:
    if len(parts) > 1 and all(isinstance(part, str) for part in parts):
        raise _refuse(field, f"{field} must be one query, was a list of {len(parts)}")
    return read_parts(parts, field)


def _read_part(part: Any, path: str) -> Content:
    if isinstance(part, str):
        return Content(part, "")
    if not isinstance(part, dict):
        raise _refuse(path, f"{path} must be a string or an object, was {kind_of(part)}")
    kind = part.get("type") or ""
    if kind not in _PART_KINDS:
        raise _refuse(path, f"{path} is a part of type {str(kind)[:_SHOWN_CHARS]}; parts are text or image_url")
    text, image = part.get("text"), _image_of(part, path)
    if text is not None and not isinstance(text, str):
        raise _refuse(f"{path}.text", f"{path}.text must be a string, was {kind_of(text)}")
    if text is None and not image:
        raise _refuse(path, f"{path} has neither text nor image")
    return Content(text or "", image)


def _image_of(part: Mapping[str, Any], path: str) -> str:
    for key in _IMAGE_KEYS:
        value = part.get(key)
        if value is None:
            continue
        url = value.get("url") if isinstance(value, dict) else value
        if not isinstance(url, str):
            raise _refuse(f"{path}.{key}", f"{path}.{key} must be a URL, was {kind_of(url)}")
        return url
    return ""


def kind_of(value: Any) -> str:
    """Return the JSON type of a value in words."""
    return _KINDS.get(type(value), "no JSON value")


def _refuse(field: str, rule: str) -> ServiceError:
    return invalid_request([FieldViolation(field, rule)])
