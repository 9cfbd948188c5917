"""Renders `server/rerankd/rpc/*convert.py`: the messages of a file, protobuf to contract and back, field by field."""

from __future__ import annotations

from textwrap import indent
from typing import Final

from scripts.generator.contract import accepts_plain_text, messages_module
from scripts.generator.schema import Enum, Field, Message, ProtoFile, Schema
from scripts.generator.text import HEADER, snake_case

_PREAMBLE: Final = f'''# {HEADER}
"""Protobuf messages to contract Structs and back, straight-line code, for `protos/rerank/v1/%s.proto`.

Every function is pure. Reading raises `ServiceError` for an enum's number that this version does not know,
and ValueError for a time that is out of range.%s
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, Final

from rerank.v1 import %s_pb2 as pb

%sfrom rerankd.rpc.convert_values import field_mask_from_proto, field_mask_to_proto
from rerankd.rpc.convert_values import known_value, status_from_proto, status_to_proto
from rerankd.rpc.convert_values import struct_from_proto, struct_to_proto, timestamp_from_proto, timestamp_to_proto

'''
_GOOGLES: Final = ("struct", "status", "timestamp", "field_mask")
"""Kinds of fields that `rerankd.rpc.convert_values` converts."""
_SHORTHAND_DOC: Final = " A document with nothing but a text becomes a plain string."


def render_convert(schema: Schema, file: ProtoFile) -> str:
    """Render the module of one proto file."""
    messages = schema.messages_of(file)
    shorthand = _SHORTHAND_DOC if any(message.shorthand for message in messages) else ""
    parts = [_PREAMBLE % (file.stem, shorthand, file.stem, _imports(schema, file))]
    parts += [_render_enum(enum, file) for enum in schema.enums_used_by(file)]
    for message in messages:
        parts += [_render_from(message, schema), _render_to(message, schema)]
    return "\n\n".join(parts)


def convert_module(file: ProtoFile) -> str:
    """Name the module of `rerankd.rpc` that converts a file's messages."""
    return f"{file.prefix}convert"


def _imports(schema: Schema, file: ProtoFile) -> str:
    """Import the modules of all files; those that are not used go when the source is formatted."""
    lines = [f"from rerankd.contract import {messages_module(other)}\n" for other in schema.files()]
    for other in schema.files():
        if other != file:
            lines += [f"from rerankd.rpc import {convert_module(other)}\n", f"from rerank.v1 import {other.stem}_pb2\n"]
    return "".join(lines)


def _elsewhere(member: Field, home: ProtoFile, schema: Schema) -> str:
    """Return what precedes the name of a function for a field's message: nothing, or the module of another file."""
    file = schema.file_of(member)
    return "" if file == home else f"{convert_module(file)}."


def _table_name(enum: str) -> str:
    return f"_{snake_case(enum).upper()}"


def _render_enum(enum: Enum, home: ProtoFile) -> str:
    table, module = _table_name(enum.name), messages_module(enum.file)
    pb = "pb" if enum.file == home else f"{enum.file.stem}_pb2"
    pairs = [f"    {module}.{enum.name}.{value.suffix}: {pb}.{value.proto_name},\n" for value in enum.values]
    return (
        f"{table}_TO_PROTO: Final[Mapping[{module}.{enum.name}, {pb}.{enum.name}.ValueType]] = {{\n"
        f"{''.join(pairs)}}}\n"
        f"{table}_FROM_PROTO: Final[Mapping[int, {module}.{enum.name}]] = {{\n"
        f"    number: value for value, number in {table}_TO_PROTO.items()\n}}\n"
    )


def _render_from(message: Message, schema: Schema) -> str:
    name, home = snake_case(message.name), messages_module(message.file)
    arguments = "".join(f"        {member.name}={_read(member, message.file, schema)},\n" for member in message.fields)
    whole = (
        f"def {name}_from_proto(message: pb.{message.name}) -> {home}.{message.name}:\n"
        f'    """Convert one `{message.name}`."""\n'
        f"    return {home}.{message.name}(\n{arguments}    )\n"
    )
    if not message.fields:
        whole = whole.replace("(message:", "(_message:")
    if message.shorthand is None:
        return whole
    others = [member for member in message.fields if member.name != message.shorthand]
    is_more = " or ".join(
        f'_{name}_has(message, "{member.name}")' if member.is_optional else f"message.{member.name}"
        for member in others
    )
    is_any_more = " or ".join(
        f'any(map(_{name}_has, items, repeat("{member.name}")))'
        if member.is_optional
        else f'any(map(attrgetter("{member.name}"), items))'
        for member in others
    )
    return (
        f"{whole}\n\n_{name}_has: Final[Callable[[pb.{message.name}, Any], bool]] = pb.{message.name}.HasField\n\n\n"
        f"def short_{name}_from_proto(message: pb.{message.name}) -> str | {home}.{message.name}:\n"
        f'    """Convert one `{message.name}`; to a plain string when there is nothing else in it."""\n'
        f"    if {is_more}:\n        return {name}_from_proto(message)\n"
        f"    return message.{message.shorthand}\n\n\n"
        f"def short_{name}s_from_proto(\n"
        f"    documents: Sequence[pb.{message.name}],\n) -> list[str | {home}.{message.name}]:\n"
        f'    """Convert each `{message.name}`; where all are plain strings, no step of it is Python\'s own."""\n'
        "    items = list(documents)\n"
        f"    if {is_any_more}:\n"
        f"        return [short_{name}_from_proto(item) for item in items]\n"
        f'    return list(map(attrgetter("{message.shorthand}"), items))\n'
    )


def _read(member: Field, home: ProtoFile, schema: Schema) -> str:
    """Give the expression that reads one field of `message`."""
    source = f"message.{member.name}"
    if member.kind == "map":
        return f"dict({source})"
    if member.is_repeated:
        if member.kind not in ("message", "enum", *_GOOGLES):
            return f"list({source})"
        if accepts_plain_text(member, schema):
            return f"{_elsewhere(member, home, schema)}short_{snake_case(member.type_name)}s_from_proto({source})"
        return f"[{_convert_from(member, 'item', home, schema)} for item in {source}]"
    value = _convert_from(member, source, home, schema)
    return f'{value} if message.HasField("{member.name}") else None' if member.is_optional else value


def _convert_from(member: Field, source: str, home: ProtoFile, schema: Schema) -> str:
    if member.kind == "message":
        return f"{_elsewhere(member, home, schema)}{snake_case(member.type_name)}_from_proto({source})"
    if member.kind in _GOOGLES:
        return f"{member.kind}_from_proto({source})"
    if member.kind == "enum":
        return f'known_value({_table_name(member.type_name)}_FROM_PROTO, {source}, "{member.name}")'
    return source


def _render_to(message: Message, schema: Schema) -> str:
    name, home = snake_case(message.name), messages_module(message.file)
    is_short = message.shorthand is not None and message.is_in_requests
    parameter = f"str | {home}.{message.name}" if is_short else f"{home}.{message.name}"
    plain = f"    if isinstance(value, str):\n        message.{message.shorthand} = value\n        return\n"
    lines = "".join(_write(member, message.file, schema) for member in message.fields)
    own = "" if message.fields else "_"
    lines = lines or '    """Copy no fields: there are none."""\n'
    return (
        f"def {name}_to_proto(value: {parameter}) -> pb.{message.name}:\n"
        f'    """Convert one `{message.name}`."""\n'
        f"    message = pb.{message.name}()\n"
        f"    _fill_{name}(value, message)\n"
        "    return message\n\n\n"
        f"def _fill_{name}({own}value: {parameter}, {own}message: pb.{message.name}) -> None:\n"
        f"{plain if is_short else ''}{lines}"
    )


def _write(member: Field, home: ProtoFile, schema: Schema, value: str = "value", message: str = "message") -> str:
    """Give the statements that set one field of `message` from `value`, both of which are names.

    Assigning to fields in place costs a quarter of passing messages to constructors, which copy them. Zeros, which most
    of what is not optional is, are what a new message holds; to set one costs four times as much as to look.
    """
    source, target = f"{value}.{member.name}", f"{message}.{member.name}"
    if member.is_repeated:
        return _write_repeated(member, source, target, home, schema)
    if not member.is_optional:
        return f"    if {source}:\n        {target} = {_scalar_to_proto(member, source)}\n"
    if member.kind == "message" and (elsewhere := _elsewhere(member, home, schema)):
        body = f"{target}.CopyFrom({elsewhere}{snake_case(member.type_name)}_to_proto({source}))"
    elif member.kind == "message":
        body = f"_fill_{snake_case(member.type_name)}({source}, {target})\n        {target}.SetInParent()"
    elif member.kind in _GOOGLES:
        body = f"{target}.CopyFrom({member.kind}_to_proto({source}))"
    else:
        body = f"{target} = {_scalar_to_proto(member, source)}"
    return f"    if {source} is not None:\n        {body}\n"


def _write_repeated(member: Field, source: str, target: str, home: ProtoFile, schema: Schema) -> str:
    if member.kind == "map":
        return f"    {target}.update({source})\n"
    if member.kind == "message" and (elsewhere := _elsewhere(member, home, schema)):
        return f"    {target}.extend(map({elsewhere}{snake_case(member.type_name)}_to_proto, {source}))\n"
    if member.kind == "message":
        item, added, add = f"{member.name}_item", f"{member.name}_added", f"add_to_{member.name}"
        fields = schema.messages[member.type_name].fields
        if accepts_plain_text(member, schema) or any(inner.is_repeated for inner in fields):
            fill = f"_fill_{snake_case(member.type_name)}({item}, {target}.add())"
            return f"    for {item} in {source}:\n        {fill}\n"
        # A call for each of hundreds of results would cost as much as to fill them.
        lines = indent("".join(_write(inner, home, schema, item, added) for inner in fields), "        ")
        return (
            f"    if {source}:\n        {add} = {target}.add\n"
            f"        for {item} in {source}:\n            {added} = {add}()\n{lines}"
        )
    if member.kind in _GOOGLES:
        return f"    {target}.extend({member.kind}_to_proto(item) for item in {source})\n"
    if member.kind == "enum":
        return f"    {target}.extend({_scalar_to_proto(member, 'item')} for item in {source})\n"
    return f"    if {source}:\n        {target}.extend({source})\n"


def _scalar_to_proto(member: Field, source: str) -> str:
    return f"{_table_name(member.type_name)}_TO_PROTO[{source}]" if member.kind == "enum" else source
