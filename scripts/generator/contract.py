"""Renders `server/rerankd/contract/*messages.py`: the messages of a file as msgspec Structs, the enums as StrEnums."""

from __future__ import annotations

from scripts.generator.schema import Enum, Field, Message, ProtoFile, Schema
from scripts.generator.text import HEADER, docstring, field_doc

_PREAMBLE = f'''# {HEADER}
"""Requests and responses of every transport, as `protos/rerank/v1` declares them.

JSON decodes straight into these types and is encoded from them; `rerankd.rpc.convert` turns protobuf messages
into them and back. Names are the protos' names. An `optional` field, a message and a oneof's member are None
when unset, and JSON null reads as unset; None is left out of JSON but for fields with `json_null`, while zeros,
empty strings and empty lists are printed. An unknown key is refused.

A default made by a factory is printed even when it is zero, since `omit_defaults` leaves out a field only
where it holds the very default object (None, and the empty values of a message with a JSON shorthand).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-2147483648, le=2147483647)]
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-9223372036854775808, le=9223372036854775807)]
Uint32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=4294967295)]


def _empty_list() -> list[Any]:
    return []


class Status(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a call or an item ended: `google.rpc.Status`."""

    code: Int32 = field(default_factory=int)
    """gRPC status code; 0 is OK."""
    message: str = field(default_factory=str)
    """What went wrong, brief; empty when nothing did."""
    details: list[dict[str, Any]] = field(default_factory=_empty_list)
    """`google.rpc` error details in protobuf's JSON form, each with its `@type`."""

'''
_PREAMBLE_OF_OTHERS = f'''# {HEADER}
"""Requests and responses of `protos/rerank/v1/%s.proto`, made as those of `rerankd.contract.messages`.

%s
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct, field

%sfrom rerankd.contract.messages import Int32, Int64, Status, Uint32
from rerankd.contract.value_types import FieldMask, Timestamp, empty_list, empty_map

'''
_NAMES_IN_JSON = {
    False: "Names are the protos' names, in JSON too.",
    True: "Names in JSON are protobuf's JSON names; the gateway reads proto names too.",
}
_PYTHON_TYPES = {
    "string": "str",
    "bool": "bool",
    "int32": "Int32",
    "int64": "Int64",
    "uint32": "Uint32",
    "double": "float",
    "float": "float",
    "struct": "dict[str, Any]",
    "status": "Status",
    "timestamp": "Timestamp",
    "field_mask": "FieldMask",
}
_FACTORIES = {
    "string": "str",
    "bool": "bool",
    "int32": "int",
    "int64": "int",
    "uint32": "int",
    "double": "float",
    "float": "float",
}
_ZEROES = {
    "string": '""',
    "bool": "False",
    "int32": "0",
    "int64": "0",
    "uint32": "0",
    "double": "0.0",
    "float": "0.0",
}


def render_contract(schema: Schema, file: ProtoFile) -> str:
    """Render the module of one proto file."""
    parts = [_preamble(schema, file)]
    parts += [_render_enum(enum) for enum in schema.enums_of(file)]
    parts += [_render_message(message, schema) for message in schema.messages_of(file)]
    return "\n\n".join(parts)


def messages_module(file: ProtoFile) -> str:
    """Name the module of `rerankd.contract` that has a file's messages."""
    return f"{file.prefix}messages"


def _preamble(schema: Schema, file: ProtoFile) -> str:
    if not file.prefix:
        return _PREAMBLE
    modules = "".join(f"from rerankd.contract import {messages_module(other)}\n" for other in schema.files())
    return _PREAMBLE_OF_OTHERS % (file.stem, _NAMES_IN_JSON[file.is_camel_case], modules)


def accepts_plain_text(member: Field, schema: Schema) -> bool:
    """Tell whether the field holds plain strings beside messages: a list, in a request, of such messages."""
    if member.kind != "message" or not member.is_repeated:
        return False
    message = schema.messages[member.type_name]
    return message.shorthand is not None and message.is_in_requests


def _render_enum(enum: Enum) -> str:
    lines = [f"class {enum.name}(StrEnum):\n", docstring(enum.doc), "\n"]
    for value in enum.values:
        lines.append(f'    {value.suffix} = "{value.json_name}"\n')
        lines.append(field_doc(value.doc))
    prefix = enum.values[0].proto_name.removesuffix(enum.values[0].suffix)
    lines.append(
        f"""
    @classmethod
    def _missing_(cls, value: object) -> {enum.name} | None:
        name = value if isinstance(value, str) else ""
        return cls.__members__.get(name.removeprefix("{prefix}")) if name.startswith("{prefix}") else None
"""
    )
    return "".join(lines)


def _render_message(message: Message, schema: Schema) -> str:
    lines = [
        f"class {message.name}(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):\n",
        docstring(message.doc),
        "\n",
    ]
    for member in message.fields:
        annotation = python_type(member, schema, message.file)
        lines.append(f"    {member.name}: {annotation}{_default(member, message, schema)}\n")
        lines.append(field_doc(member.doc))
    for oneof, members in message.oneofs().items():
        lines.append(_render_oneof(oneof, members))
    return "".join(lines)


def python_type(member: Field, schema: Schema, home: ProtoFile) -> str:
    """Name the Python type of a field, as the module of the file `home` does."""
    if member.kind == "map":
        return f"dict[str, {_PYTHON_TYPES[member.type_name]}]"
    base = _PYTHON_TYPES.get(member.kind) or qualified(member, schema, home)
    if accepts_plain_text(member, schema):
        base = f"str | {base}"
    if member.is_repeated:
        return f"list[{base}]"
    return f"{base} | None" if member.is_optional else base


def qualified(member: Field, schema: Schema, home: ProtoFile) -> str:
    """Name the message or enum of a field, with its module where that is another one than that of `home`."""
    file = schema.file_of(member)
    return member.type_name if file == home else f"{messages_module(file)}.{member.type_name}"


def _default(member: Field, message: Message, schema: Schema) -> str:
    default = _default_argument(member, message, schema)
    if member.json_name != member.name:
        return f' = field({default}, name="{member.json_name}")'
    return f" = {default.removeprefix('default=')}" if default.startswith("default=") else f" = field({default})"


def _default_argument(member: Field, message: Message, schema: Schema) -> str:
    """Return the argument of `msgspec.field` that says what a field holds when it is unset."""
    is_content = message.shorthand is not None and member.name != message.shorthand
    empty = ("_empty_list", "_empty_map") if not message.file.prefix else ("empty_list", "empty_map")
    if member.is_optional:
        return "default_factory=lambda: None" if member.is_null_printed else "default=None"
    if member.kind == "map":
        return f"default_factory={'dict' if is_content else empty[1]}"
    if member.is_repeated:
        return f"default_factory={'list' if is_content else empty[0]}"
    if member.kind == "enum":
        name = qualified(member, schema, message.file)
        zero = f"{name}.{schema.enums[member.type_name].values[0].suffix}"
        return f"default={zero}" if is_content else f"default_factory=lambda: {zero}"
    return f"default={_ZEROES[member.kind]}" if is_content else f"default_factory={_FACTORIES[member.kind]}"


def _render_oneof(oneof: str, members: list[Field]) -> str:
    names = ", ".join(f'"{member.name}"' for member in members)
    checks = "".join(
        f"        if self.{member.name} is not None:\n            found.append({member.name!r})\n" for member in members
    )
    return f'''
    def which_{oneof}(self) -> Literal[{names}] | None:
        """Name the member of `{oneof}` that is set; None when none is, or several are."""
        found: list[Literal[{names}]] = []
{checks}        return found[0] if len(found) == 1 else None
'''
