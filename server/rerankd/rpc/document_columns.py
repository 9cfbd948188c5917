"""Decodes documents that are objects of texts by columns: all names of a document at once, then all of its texts.

`Struct` is a map of messages, so each value costs a look-up, a wrapper and an attribute. Types of our own read
the same bytes, with one entry instead of the map and lists instead of its key and text: protobuf merges what comes
twice, so the lists end up with all of them, and Python copies a list in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any, Final

from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract import messages

_PACKAGE: Final = "rerankd.columns"
_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_NUMBER: Final = FieldDescriptorProto.TYPE_DOUBLE
_ONE: Final = FieldDescriptorProto.LABEL_OPTIONAL
_MANY: Final = FieldDescriptorProto.LABEL_REPEATED
_Members = Mapping[
    FieldDescriptor, tuple[FieldDescriptorProto.Type.ValueType | str, FieldDescriptorProto.Label.ValueType]
]
"""Fields of a type by those whose bytes they read: a scalar's type or the name of one of ours, and how many."""


def documents_by_columns(data: bytes) -> list[str | messages.Document] | None:
    """Decode documents as the generated converters do.

    Args:
        data: A `RerankRequest` with nothing but documents.

    Returns:
        The documents; `None` where a value of their objects is not a text.

    Raises:
        DecodeError: The message is not valid.
    """
    documents: list[str | messages.Document] = []
    request: Any = _REQUEST.FromString(data)
    objects = _Objects()
    for sent in request.documents:
        fields = objects.read(sent.fields) if sent.HasField("fields") else None
        metadata = objects.read(sent.metadata) if sent.HasField("metadata") else None
        if objects.has_other_values:
            return None
        scores = sent.prior_score
        if fields is None and metadata is None and not (sent.id or scores or sent.image):
            documents.append(sent.text)
            continue
        documents.append(
            messages.Document(
                text=sent.text,
                id=sent.id,
                fields=fields,
                prior_score=scores[-1] if scores else None,
                metadata=metadata,
                image=sent.image,
            )
        )
    return documents


def are_text_objects(documents: Iterable[str | messages.Document]) -> bool:
    """Whether every document is an object of nothing but texts."""
    return all(
        not isinstance(document, str) and document.fields and set(map(type, document.fields.values())) == {str}
        for document in documents
    )


class _Objects:
    """Reads the objects of a call, which mostly have the same names in the same order."""

    __slots__ = ("_names", "_order", "_sorted", "has_other_values")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sorted: list[str] = []
        self._order: list[int] = []
        self.has_other_values = False
        """Whether one of them had a value that is not a text."""

    def read(self, struct: Any) -> dict[str, Any]:
        """Return the texts of an object by name, in the order of names, as `struct_from_proto` does."""
        names, texts = list(map(intern, struct.fields.key)), list(struct.fields.value.string_value)
        if len(names) != len(texts):
            self.has_other_values = True
            return {}
        if names != self._names:
            self._names = names
            self._order = sorted(range(len(names)), key=names.__getitem__)
            self._sorted = list(map(names.__getitem__, self._order))
        return dict(zip(self._sorted, map(texts.__getitem__, self._order), strict=True))


def _request_type() -> type[Message]:
    entry, value = struct_pb2.Struct.FieldsEntry.DESCRIPTOR.fields_by_name, struct_pb2.Value.DESCRIPTOR.fields_by_name
    document = pb.Document.DESCRIPTOR.fields_by_name
    types: Mapping[str, _Members] = {
        "Value": {value["string_value"]: (_TEXT, _MANY)},
        "Entries": {
            entry["key"]: (_TEXT, _MANY),
            entry["value"]: ("Value", _ONE),
        },
        "Struct": {struct_pb2.Struct.DESCRIPTOR.fields_by_name["fields"]: ("Entries", _ONE)},
        "Document": {
            document["text"]: (_TEXT, _ONE),
            document["id"]: (_TEXT, _ONE),
            document["fields"]: ("Struct", _ONE),
            document["prior_score"]: (_NUMBER, _MANY),
            document["metadata"]: ("Struct", _ONE),
            document["image"]: (_TEXT, _ONE),
        },
        "Request": {pb.RerankRequest.DESCRIPTOR.fields_by_name["documents"]: ("Document", _MANY)},
    }
    described = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    described.message_type.extend(_described(name, members) for name, members in types.items())
    pool = DescriptorPool()
    pool.AddSerializedFile(described.SerializeToString())
    made: type[Message] = GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Request"))
    return made


def _described(name: str, members: _Members) -> DescriptorProto:
    described = DescriptorProto(name=name)
    for like, (kind, label) in members.items():
        field = described.field.add(name=like.name, number=like.number, label=label)
        if isinstance(kind, str):
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        else:
            field.type = kind
    return described


_REQUEST: Final = _request_type()
