"""Encoding of documents with named fields and of documents with images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rerankd_adapters.call import ProviderCall
from rerankd_adapters.error import AdapterError, AdapterErrorKind

TEXT = "text"


def object_documents(call: ProviderCall, *, values_are_text: bool = False) -> list[dict[str, object]]:
    """Return every document as an object with the fields of `call.rank_fields`.

    A plain text becomes the field `text` if that is ranked, else the first ranked field, so that it is always scored.

    Args:
        call: A call with objects.
        values_are_text: Whether fields must be strings: other values are written as JSON, null fields are omitted.

    Returns:
        n objects in request order.
    """
    names = call.rank_fields
    name = TEXT if TEXT in names or not names else names[0]
    pairs = zip(call.documents, call.objects or (), strict=True)
    if values_are_text:
        return [{name: text} if fields is None else {**_texts_of(dict(fields))} for text, fields in pairs]
    return [{name: text} if fields is None else dict(fields) for text, fields in pairs]


def ranked_fields(call: ProviderCall, position: int) -> dict[str, object] | None:
    """Return the scored fields of one document in ranking order; `None` for a plain text."""
    fields = call.objects[position] if call.objects is not None else None
    return None if fields is None else {name: fields[name] for name in call.rank_fields}


def titled_document(call: ProviderCall, position: int) -> dict[str, object] | None:
    """Return title and content of one document if exactly these are scored, in this order; else `None`."""
    fields = ranked_fields(call, position)
    is_titled = fields is not None and tuple(fields) == ("title", "content")
    return fields if is_titled and all(isinstance(value, str) for value in (fields or {}).values()) else None


def image_documents(
    call: ProviderCall, key: str = "image", encode: Callable[[str], Any] | None = None
) -> list[dict[str, object]]:
    """Return every document as an object with its text and its image, if present.

    Args:
        call: A call with images.
        key: Name of the image field.
        encode: Converts an image URL to the provider's value; `None` sends the URL.

    Returns:
        n objects in request order.
    """
    documents: list[dict[str, object]] = []
    for text, image in zip(call.documents, call.images or (), strict=True):
        document: dict[str, object] = {TEXT: text} if text or image is None else {}
        if image is not None:
            document[key] = encode(image) if encode else image
        documents.append(document)
    return documents


def content_parts(text: str, image: str) -> list[dict[str, object]]:
    """Return the image, and the text if there is any, as parts of a chat message's content."""
    parts: list[dict[str, object]] = [{"type": "image_url", "image_url": {"url": image}}]
    return [*parts, {"type": "text", "text": text}] if text else parts


def refuse_images(call: ProviderCall, title: str) -> None:
    """Reject images, in documents and as the query.

    Raises:
        AdapterError: `UNSUPPORTED`, naming the query or the first document with an image.
    """
    refuse_query_image(call, title)
    for position, image in enumerate(call.images or ()):
        if image is not None:
            message = f"{title} takes no images; ListModels says which models do (takes_images)"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field=f"documents[{position}].image")


def refuse_query_image(call: ProviderCall, title: str) -> None:
    """Reject an image as the query.

    Raises:
        AdapterError: `UNSUPPORTED`.
    """
    if call.query_image:
        message = f"{title} takes no image as query; ListModels says which models do (takes_query_images)"
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field="query_image")


def refuse_text_and_image(call: ProviderCall, title: str) -> None:
    """Reject a query of text and image together, for an API whose query is one of them.

    Raises:
        AdapterError: `UNSUPPORTED`.
    """
    if call.query_image and (call.query or call.instruction):
        message = f"the query of {title} is a text or an image, not both; leave out query or query_image"
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field="query_image")


def require_inline_images(call: ProviderCall, title: str) -> None:
    """Reject images that are not `data:` URLs.

    Raises:
        AdapterError: `UNSUPPORTED`, naming the first such document.
    """
    for position, image in enumerate(call.images or ()):
        if image is not None and not image.startswith("data:"):
            message = f"{title} does not fetch images; send documents[{position}].image as a data: URL"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field=f"documents[{position}].image")


def bare_base64(image: str) -> str:
    """Return the base64 content of a `data:` URL; other URLs unchanged."""
    return image.partition(",")[2] if image.startswith("data:") else image


def _texts_of(fields: dict[str, object]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in fields.items()
        if value is not None
    }
