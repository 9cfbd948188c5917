"""Renders `server/rerankd/rpc/convert.py`: protobuf messages to contract Structs and back, field by field."""

from __future__ import annotations

from textwrap import indent
from typing import Final

from scripts.generator.contract import accepts_plain_text
from scripts.generator.schema import Enum, Field, Message, Schema
from scripts.generator.text import HEADER, snake_case

_PREAMBLE: Final = f'''# {HEADER}
"""Protobuf messages to contract Structs and back, in straight-line code.

Every function is pure. Reading raises `ServiceError` for an enum's number that this version does not know,
and nothing else. A document with nothing but a text becomes a plain string.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, TypeVar

from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from rerank.v1 import rerank_service_pb2 as pb

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request

_EnumT = TypeVar("_EnumT")
_TYPE_PREFIX: Final = "type.googleapis.com/"
_LARGEST_EXACT_INT: Final = 2**53
_DETAIL_TYPES: Final[Mapping[str, type[Message]]] = {{
    _TYPE_PREFIX + "google.rpc.BadRequest": error_details_pb2.BadRequest,
    _TYPE_PREFIX + "google.rpc.ErrorInfo": error_details_pb2.ErrorInfo,
    _TYPE_PREFIX + "google.rpc.QuotaFailure": error_details_pb2.QuotaFailure,
    _TYPE_PREFIX + "google.rpc.RetryInfo": error_details_pb2.RetryInfo,
}}


def struct_from_proto(message: struct_pb2.Struct) -> dict[str, Any]:
    """Turn a protobuf Struct into a dict; whole numbers come back as int."""
    return {{name: _value_from_proto(value) for name, value in message.fields.items()}}


def _value_from_proto(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT_INT else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return struct_from_proto(value.struct_value)
    if kind == "list_value":
        return [_value_from_proto(item) for item in value.list_value.values]
    return None


def struct_to_proto(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Turn a dict of JSON values into a protobuf Struct; numbers become doubles."""
    message = struct_pb2.Struct()
    message.update(value)
    return message


def status_from_proto(message: status_pb2.Status) -> messages.Status:
    """Convert `google.rpc.Status`; a detail of a type not listed here keeps only its `@type`."""
    details = [_detail_from_proto(detail) for detail in message.details]
    return messages.Status(code=message.code, message=message.message, details=details)


def _detail_from_proto(detail: any_pb2.Any) -> dict[str, Any]:
    detail_type = _DETAIL_TYPES.get(detail.type_url)
    if detail_type is None:
        return {{"@type": detail.type_url}}
    content = json_format.MessageToDict(detail_type.FromString(detail.value))
    return {{"@type": detail.type_url, **content}}


def status_to_proto(value: messages.Status) -> status_pb2.Status:
    """Convert to `google.rpc.Status`; raises ValueError for a detail of a type not listed here."""
    return status_pb2.Status(
        code=value.code, message=value.message, details=[_detail_to_proto(detail) for detail in value.details]
    )


def _detail_to_proto(detail: Mapping[str, Any]) -> any_pb2.Any:
    content = dict(detail)
    type_url = content.pop("@type", "")
    detail_type = _DETAIL_TYPES.get(type_url)
    if detail_type is None:
        raise ValueError(f"no such error detail: {{type_url!r}}")
    packed = any_pb2.Any()
    packed.Pack(json_format.ParseDict(content, detail_type()))
    return packed


def _known(values: Mapping[int, _EnumT], number: int, field: str) -> _EnumT:
    known = values.get(number)
    if known is None:
        listed = ", ".join(f"{{value}} ({{number}})" for number, value in values.items())
        raise invalid_request([FieldViolation(field, f"{{field}} must be one of {{listed}}, was {{number}}")])
    return known

'''


def render_convert(schema: Schema) -> str:
    """Render the module."""
    parts = [_PREAMBLE]
    parts += [_render_enum(enum) for enum in schema.message_enums()]
    for message in schema.messages.values():
        parts += [_render_from(message, schema), _render_to(message, schema)]
    return "\n\n".join(parts)


def _table_name(enum: str) -> str:
    return f"_{snake_case(enum).upper()}"


def _render_enum(enum: Enum) -> str:
    table = _table_name(enum.name)
    pairs = [f"    messages.{enum.name}.{value.suffix}: pb.{value.proto_name},\n" for value in enum.values]
    return (
        f"{table}_TO_PROTO: Final[Mapping[messages.{enum.name}, pb.{enum.name}.ValueType]] = {{\n"
        f"{''.join(pairs)}}}\n"
        f"{table}_FROM_PROTO: Final[Mapping[int, messages.{enum.name}]] = {{\n"
        f"    number: value for value, number in {table}_TO_PROTO.items()\n}}\n"
    )


def _render_from(message: Message, schema: Schema) -> str:
    name = snake_case(message.name)
    arguments = "".join(f"        {member.name}={_read(member, schema)},\n" for member in message.fields)
    whole = (
        f"def {name}_from_proto(message: pb.{message.name}) -> messages.{message.name}:\n"
        f'    """Convert one `{message.name}`."""\n'
        f"    return messages.{message.name}(\n{arguments}    )\n"
    )
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
        f"def short_{name}_from_proto(message: pb.{message.name}) -> str | messages.{message.name}:\n"
        f'    """Convert one `{message.name}`; to a plain string when there is nothing else in it."""\n'
        f"    if {is_more}:\n        return {name}_from_proto(message)\n"
        f"    return message.{message.shorthand}\n\n\n"
        f"def short_{name}s_from_proto(\n"
        f"    documents: Sequence[pb.{message.name}],\n) -> list[str | messages.{message.name}]:\n"
        f'    """Convert each `{message.name}`; where all are plain strings, no step of it is Python\'s own."""\n'
        "    items = list(documents)\n"
        f"    if {is_any_more}:\n"
        f"        return [short_{name}_from_proto(item) for item in items]\n"
        f'    return list(map(attrgetter("{message.shorthand}"), items))\n'
    )


def _read(member: Field, schema: Schema) -> str:
    """Give the expression that reads one field of `message`."""
    source = f"message.{member.name}"
    if member.is_repeated:
        if member.kind not in ("message", "struct", "status", "enum"):
            return f"list({source})"
        if accepts_plain_text(member, schema):
            return f"short_{snake_case(member.type_name)}s_from_proto({source})"
        return f"[{_convert_from(member, 'item')} for item in {source}]"
    value = _convert_from(member, source)
    return f'{value} if message.HasField("{member.name}") else None' if member.is_optional else value


def _convert_from(member: Field, source: str) -> str:
    if member.kind == "message":
        return f"{snake_case(member.type_name)}_from_proto({source})"
    if member.kind in ("struct", "status"):
        return f"{member.kind}_from_proto({source})"
    if member.kind == "enum":
        return f'_known({_table_name(member.type_name)}_FROM_PROTO, {source}, "{member.name}")'
    return source


def _render_to(message: Message, schema: Schema) -> str:
    name = snake_case(message.name)
    is_short = message.shorthand is not None and message.is_in_requests
    parameter = f"str | messages.{message.name}" if is_short else f"messages.{message.name}"
    plain = f"    if isinstance(value, str):\n        message.{message.shorthand} = value\n        return\n"
    lines = "".join(_write(member, schema) for member in message.fields)
    return (
        f"def {name}_to_proto(value: {parameter}) -> pb.{message.name}:\n"
        f'    """Convert one `{message.name}`."""\n'
        f"    message = pb.{message.name}()\n"
        f"    _fill_{name}(value, message)\n"
        "    return message\n\n\n"
        f"def _fill_{name}(value: {parameter}, message: pb.{message.name}) -> None:\n"
        f"{plain if is_short else ''}{lines}"
    )


def _write(member: Field, schema: Schema, value: str = "value", message: str = "message") -> str:
    """Give the statements that set one field of `message` from `value`, both of which are names.

    Assigning to fields in place costs a quarter of passing messages to constructors, which copy them. Zeros, which most
    of what is not optional is, are what a new message holds; to set one costs four times as much as to look.
    """
    source, target = f"{value}.{member.name}", f"{message}.{member.name}"
    if member.is_repeated:
        return _write_repeated(member, source, target, schema)
    if not member.is_optional:
        return f"    if {source}:\n        {target} = {_scalar_to_proto(member, source)}\n"
    if member.kind == "message":
        body = f"_fill_{snake_case(member.type_name)}({source}, {target})\n        {target}.SetInParent()"
    elif member.kind in ("struct", "status"):
        body = f"{target}.CopyFrom({member.kind}_to_proto({source}))"
    else:
        body = f"{target} = {_scalar_to_proto(member, source)}"
    return f"    if {source} is not None:\n        {body}\n"


def _write_repeated(member: Field, source: str, target: str, schema: Schema) -> str:
    if member.kind == "message":
        item, added, add = f"{member.name}_item", f"{member.name}_added", f"add_to_{member.name}"
        fields = schema.messages[member.type_name].fields
        if accepts_plain_text(member, schema) or any(inner.is_repeated for inner in fields):
            fill = f"_fill_{snake_case(member.type_name)}({item}, {target}.add())"
            return f"    for {item} in {source}:\n        {fill}\n"
        # A call for each of hundreds of results would cost as much as to fill them.
        lines = indent("".join(_write(inner, schema, item, added) for inner in fields), "        ")
        return (
            f"    if {source}:\n        {add} = {target}.add\n"
            f"        for {item} in {source}:\n            {added} = {add}()\n{lines}"
        )
    if member.kind in ("struct", "status"):
        return f"    {target}.extend({member.kind}_to_proto(item) for item in {source})\n"
    if member.kind == "enum":
        return f"    {target}.extend({_scalar_to_proto(member, 'item')} for item in {source})\n"
    return f"    if {source}:\n        {target}.extend({source})\n"


def _scalar_to_proto(member: Field, source: str) -> str:
    return f"{_table_name(member.type_name)}_TO_PROTO[{source}]" if member.kind == "enum" else source
