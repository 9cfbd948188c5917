"""The proto files as plain data: messages, enums, services and their comments.

Everything is read from one `FileDescriptorSet`; no generated Python is imported, so a first run needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE: Final = "rerank.v1"
STRUCT_TYPE: Final = ".google.protobuf.Struct"
STATUS_TYPE: Final = ".google.rpc.Status"
_KNOWN_TYPES: Final = {
    STRUCT_TYPE: "struct",
    STATUS_TYPE: "status",
    ".google.protobuf.Timestamp": "timestamp",
    ".google.protobuf.FieldMask": "field_mask",
}
_FieldProto = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    _FieldProto.TYPE_STRING: "string",
    _FieldProto.TYPE_BOOL: "bool",
    _FieldProto.TYPE_INT32: "int32",
    _FieldProto.TYPE_INT64: "int64",
    _FieldProto.TYPE_UINT32: "uint32",
    _FieldProto.TYPE_DOUBLE: "double",
    _FieldProto.TYPE_FLOAT: "float",
}
_HTTP_METHODS: Final = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class ProtoFile:
    """One proto file."""

    stem: str
    """Name without folder and extension: "rerank_service"."""
    is_camel_case: bool = False
    """Whether the JSON of its messages has protobuf's JSON names, and takes proto names too."""

    @property
    def prefix(self) -> str:
        """What names of its modules begin with: "access_" for the access service, nothing for the rerank service."""
        subject = self.stem.removesuffix("_service")
        return "" if subject == "rerank" else f"{subject}_"


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    name: str
    json_name: str
    """Its name in JSON."""
    kind: str
    """A scalar's proto name, "message", "enum", "map" (of strings to scalars), or a known type of Google's: "struct"
    (JSON object), "status" (google.rpc.Status), "timestamp", "field_mask"."""
    type_name: str
    """Name of the message or enum; the kind of a map's values; empty for the other kinds."""
    doc: str
    is_repeated: bool
    is_optional: bool
    """Tells unset from zero: `optional`, a oneof's member, or a message."""
    oneof: str | None
    is_null_printed: bool = False
    """In JSON, while it is unset; otherwise it is left out."""


@dataclass
class Message:
    """One message."""

    name: str
    file: ProtoFile
    doc: str
    fields: Sequence[Field]
    shorthand: str | None
    """Name of the field that a bare JSON string stands for."""
    is_in_requests: bool = False

    def oneofs(self) -> dict[str, list[Field]]:
        """Group the members of each oneof by its name."""
        groups: dict[str, list[Field]] = {}
        for member in self.fields:
            if member.oneof is not None:
                groups.setdefault(member.oneof, []).append(member)
        return groups


@dataclass(frozen=True)
class EnumValue:
    """One value of an enum."""

    proto_name: str
    suffix: str
    """`proto_name` without the enum's prefix: the Python name."""
    number: int
    doc: str

    @property
    def json_name(self) -> str:
        """The suffix in lower case with hyphens."""
        return self.suffix.lower().replace("_", "-")


@dataclass(frozen=True)
class Enum:
    """One enum."""

    name: str
    file: ProtoFile
    doc: str
    values: Sequence[EnumValue]


@dataclass(frozen=True)
class Binding:
    """One HTTP form of a method, from `google.api.http`."""

    http_method: str
    path: str
    body: str
    response_body: str

    def variables(self) -> list[str]:
        """List the fields that stand in the path."""
        return re.findall(r"{(\w+)", self.path)


@dataclass(frozen=True)
class Method:
    """One rpc."""

    name: str
    doc: str
    request: str
    response: str
    is_client_streaming: bool
    is_server_streaming: bool
    bindings: Sequence[Binding]
    http_status: int = 200
    """Of a successful answer; 204 has no body."""


@dataclass(frozen=True)
class Service:
    """One service."""

    name: str
    file: ProtoFile
    doc: str
    methods: Sequence[Method]


@dataclass
class Schema:
    """Everything the package declares, in file order."""

    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, Enum] = field(default_factory=dict)
    services: list[Service] = field(default_factory=list)

    def methods(self) -> Iterator[tuple[Service, Method]]:
        """Yield every method with its service."""
        for service in self.services:
            for method in service.methods:
                yield service, method

    def reachable(self, root: str) -> Iterator[Field]:
        """Yield every field of `root` and of all messages below it, each message once."""
        pending, seen = [root], {root}
        while pending:
            for member in self.messages[pending.pop()].fields:
                yield member
                if member.kind == "message" and member.type_name not in seen:
                    seen.add(member.type_name)
                    pending.append(member.type_name)

    def files(self) -> list[ProtoFile]:
        """List the files with messages, in the order of their services."""
        found = dict.fromkeys([*(service.file for service in self.services), *(m.file for m in self.messages.values())])
        return list(found)

    def messages_of(self, file: ProtoFile) -> list[Message]:
        """List the messages of a file."""
        return [message for message in self.messages.values() if message.file == file]

    def enums_used_by(self, file: ProtoFile) -> list[Enum]:
        """List the enums that the messages of a file use, whichever file has them."""
        used = {member.type_name for message in self.messages_of(file) for member in message.fields}
        return [enum for enum in self.enums.values() if enum.name in used]

    def enums_of(self, file: ProtoFile) -> list[Enum]:
        """List the enums of a file that some message uses; the others are documentation."""
        used = {member.type_name for message in self.messages.values() for member in message.fields}
        return [enum for enum in self.enums.values() if enum.name in used and enum.file == file]

    def file_of(self, member: Field) -> ProtoFile:
        """Return the file of the message or enum that a field holds."""
        owner: Message | Enum = (
            self.messages[member.type_name] if member.kind == "message" else self.enums[member.type_name]
        )
        return owner.file


class SchemaError(Exception):
    """The protos use something this generator does not know."""


def read_schema(descriptor_set: bytes) -> Schema:
    """Read the package's files out of a serialized `FileDescriptorSet` with imports and source info."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    schema = Schema()
    for file in files:
        if file.package == PACKAGE:
            _FileReader(file, pool).read_into(schema)
    # The rerank service comes first: it is what the others are about.
    schema.services.sort(key=lambda service: service.file.prefix)
    names: set[str] = set()
    for _, method in schema.methods():
        if method.name in names:
            raise SchemaError(f"{method.name}: two services have an rpc of this name")
        names.add(method.name)
        _check_variables(method, schema.messages[method.request])
        schema.messages[method.request].is_in_requests = True
        for member in schema.reachable(method.request):
            if member.kind == "message":
                schema.messages[member.type_name].is_in_requests = True
    return schema


class _FileReader:
    def __init__(self, file: descriptor_pb2.FileDescriptorProto, pool: descriptor_pool.DescriptorPool) -> None:
        self._file = file
        self._pool = pool
        camel = self._option(file, "FileOptions", f"{PACKAGE}.json_camel_case")
        self._home = ProtoFile(file.name.rpartition("/")[2].removesuffix(".proto"), bool(camel))
        self._comments = {
            tuple(location.path): " ".join(location.leading_comments.split())
            for location in file.source_code_info.location
        }

    def read_into(self, schema: Schema) -> None:
        """Add what the file declares."""
        for number, enum in enumerate(self._file.enum_type):
            schema.enums[enum.name] = self._enum(enum, (5, number))
        for number, message in enumerate(self._file.message_type):
            schema.messages[message.name] = self._message(message, (4, number))
        for number, service in enumerate(self._file.service):
            path = (6, number)
            methods = [self._method(method, (*path, 2, i)) for i, method in enumerate(service.method)]
            schema.services.append(Service(service.name, self._home, self._doc(path), methods))

    def _doc(self, path: tuple[int, ...]) -> str:
        return self._comments.get(path, "")

    def _option(self, owner: Any, options_type: str, extension: str) -> Any:
        """Read one extension of an options message; None when it is not set."""
        descriptor = self._pool.FindMessageTypeByName(f"google.protobuf.{options_type}")
        options: Any = message_factory.GetMessageClass(descriptor)()
        options.ParseFromString(owner.options.SerializeToString())
        handle = self._pool.FindExtensionByName(extension)
        return options.Extensions[handle] if options.HasExtension(handle) else None

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto, path: tuple[int, ...]) -> Enum:
        prefix = enum.value[0].name.removesuffix("UNSPECIFIED")
        values = [
            EnumValue(value.name, value.name.removeprefix(prefix), value.number, self._doc((*path, 2, i)))
            for i, value in enumerate(enum.value)
        ]
        return Enum(enum.name, self._home, self._doc(path), values)

    def _message(self, message: descriptor_pb2.DescriptorProto, path: tuple[int, ...]) -> Message:
        if message.enum_type or any(not nested.options.map_entry for nested in message.nested_type):
            raise SchemaError(f"{message.name}: nested types are not supported")
        fields = [self._field(message, member, (*path, 2, i)) for i, member in enumerate(message.field)]
        shorthand = self._option(message, "MessageOptions", f"{PACKAGE}.json_shorthand")
        return Message(message.name, self._home, self._doc(path), fields, shorthand)

    def _field(
        self,
        message: descriptor_pb2.DescriptorProto,
        member: descriptor_pb2.FieldDescriptorProto,
        path: tuple[int, ...],
    ) -> Field:
        kind, type_name = self._kind(message, member)
        is_repeated = member.label == _FieldProto.LABEL_REPEATED
        has_oneof = member.HasField("oneof_index") and not member.proto3_optional
        is_optional = not is_repeated and (
            member.proto3_optional or has_oneof or kind in ("message", *_KNOWN_TYPES.values())
        )
        oneof = message.oneof_decl[member.oneof_index].name if has_oneof else None
        json_name = member.json_name if self._home.is_camel_case else member.name
        is_null_printed = bool(self._option(member, "FieldOptions", f"{PACKAGE}.json_null"))
        if is_null_printed and not is_optional:
            raise SchemaError(f"{message.name}.{member.name}: json_null is for fields that tell unset from zero")
        doc = self._doc(path)
        return Field(member.name, json_name, kind, type_name, doc, is_repeated, is_optional, oneof, is_null_printed)

    def _kind(
        self, message: descriptor_pb2.DescriptorProto, member: descriptor_pb2.FieldDescriptorProto
    ) -> tuple[str, str]:
        """Return the kind of a field, and what type of it."""
        kind, type_name = _SCALARS.get(member.type, ""), ""
        if member.type == _FieldProto.TYPE_MESSAGE:
            kind = _KNOWN_TYPES.get(member.type_name, "message")
        elif member.type == _FieldProto.TYPE_ENUM:
            kind = "enum"
        if kind in ("message", "enum"):
            type_name = member.type_name.removeprefix(f".{PACKAGE}.")
        for entry in message.nested_type:
            if type_name == f"{message.name}.{entry.name}":
                key, value = entry.field
                kind, type_name = "map", _SCALARS.get(value.type, "")
                if key.type != _FieldProto.TYPE_STRING or not type_name:
                    raise SchemaError(f"{message.name}.{member.name}: maps are of strings to scalars")
        if not kind or "." in type_name:
            raise SchemaError(f"{message.name}.{member.name}: type not supported {member.type_name}")
        return kind, type_name

    def _method(self, method: descriptor_pb2.MethodDescriptorProto, path: tuple[int, ...]) -> Method:
        rule = self._option(method, "MethodOptions", "google.api.http")
        rules = [] if rule is None else [rule, *rule.additional_bindings]
        status = self._option(method, "MethodOptions", f"{PACKAGE}.http_status")
        return Method(
            method.name,
            self._doc(path),
            method.input_type.removeprefix(f".{PACKAGE}."),
            method.output_type.removeprefix(f".{PACKAGE}."),
            method.client_streaming,
            method.server_streaming,
            [_binding(method.name, rule) for rule in rules],
            status or 200,
        )


def _check_variables(method: Method, request: Message) -> None:
    """Check that every variable of a path is a string field of the request."""
    texts = {member.name for member in request.fields if member.kind == "string" and not member.is_repeated}
    for binding in method.bindings:
        for name in binding.variables():
            if name not in texts:
                raise SchemaError(
                    f"{method.name}: {{{name}}} of {binding.path} is not a string field of {request.name}"
                )


def _binding(method: str, rule: Any) -> Binding:
    http_method = rule.WhichOneof("pattern")
    if http_method not in _HTTP_METHODS:
        raise SchemaError(f"{method}: HTTP binding not supported: {http_method}")
    if rule.body not in ("", "*"):
        raise SchemaError(f'{method}: body must be "*" or absent, is {rule.body}')
    return Binding(http_method.upper(), getattr(rule, http_method), rule.body, rule.response_body)
