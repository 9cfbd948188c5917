"""A document, as the caller gives it and as it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from rerank.v1 import rerank_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Document:
    """One text to be ranked."""

    text: str = ""
    """The text. May be empty only when `fields` or `image` holds the content."""
    id: str = ""
    """The caller's own identifier; comes back as it went."""
    fields: Mapping[str, Any] | None = None
    """Structured content (JSON values), scored by the fields named in `rank_fields`, else whole."""
    prior_score: float | None = None
    """Relevance given by an earlier stage; higher is better."""
    metadata: Mapping[str, Any] | None = None
    """Anything (JSON values) to get back with the document; never scored."""
    image: str = ""
    """An image, as a `data:` URL in base64 or an `https:` URL, for models that take images."""


DOCUMENT_KEYS: Final = frozenset(member.name for member in fields(Document))


def encode_document(document: str | Document | Mapping[str, Any], *, is_structured: bool) -> pb.Document:
    """Build the message of one document.

    A mapping with the keys of `Document` alone is a document; any other is structured content, whole, and keeps its
    `text` and `id` unless `is_structured`.

    Args:
        document: Text, document or mapping.
        is_structured: The request names `rank_fields`, so mappings are expected to be content.

    Raises:
        TypeError: It is none of these, or a value has the wrong type.
        ValueError: A mapping has a value that JSON does not have.
    """
    if isinstance(document, str):
        return pb.Document(text=document)
    if isinstance(document, Document):
        return _encode(document)
    if isinstance(document, Mapping):
        return _encode(_document_of_mapping(document, is_structured=is_structured))
    raise TypeError(f"a document is a str, Document or mapping, not {type(document).__name__}")


def decode_document(message: pb.Document) -> Document:
    """Build a `Document` from its message."""
    return Document(
        text=message.text,
        id=message.id,
        fields=_decode_struct(message.fields) if message.HasField("fields") else None,
        prior_score=message.prior_score if message.HasField("prior_score") else None,
        metadata=_decode_struct(message.metadata) if message.HasField("metadata") else None,
        image=message.image,
    )


def encode_struct(values: Mapping[str, Any]) -> Struct:
    """Build a `Struct` of JSON values.

    Raises:
        ValueError: A value is not a JSON value.
    """
    struct = Struct()
    struct.update(dict(values))
    return struct


def _document_of_mapping(values: Mapping[str, Any], *, is_structured: bool) -> Document:
    others = values.keys() - DOCUMENT_KEYS
    if others and (len(others) == len(values) or (is_structured and "fields" not in values)):
        return Document(fields=values)
    if others:
        return _with_text(values)
    return Document(**values)


def _with_text(values: Mapping[str, Any]) -> Document:
    """Read content that has a text or an id, as the HTTP interface does: `text`, else `content`, is scored."""
    text, name = values.get("text", values.get("content")), values.get("id")
    if "text" in values and not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    return Document(text=text if isinstance(text, str) else "", id=name if isinstance(name, str) else "", fields=values)


def _encode(document: Document) -> pb.Document:
    message = pb.Document(text=document.text, id=document.id, prior_score=document.prior_score, image=document.image)
    if document.fields is not None:
        message.fields.CopyFrom(encode_struct(document.fields))
    if document.metadata is not None:
        message.metadata.CopyFrom(encode_struct(document.metadata))
    return message


def _decode_struct(struct: Struct) -> dict[str, Any]:
    return json_format.MessageToDict(struct)
