"""Reads messages whose JSON has protobuf's JSON names (`topN`) by their proto names (`top_n`) too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, get_args, get_origin

import msgspec

from rerankd.contract.errors import FieldViolation, invalid_request

Fields: TypeAlias = Mapping[str, tuple[str, type[Any] | None]]
_fields: Final[dict[type[Any], Fields]] = {}
"""By message type, as they are asked for: types of messages are few."""


def decoder_of(message_type: type[Any]) -> Callable[[bytes], Any]:
    """Make a decoder that takes both names of every field.

    Other names than those of JSON cost a second reading of the body, and only where there are any.
    """
    decode = msgspec.json.Decoder(message_type).decode
    if not has_other_names(message_type):
        return decode

    def decode_either(data: bytes) -> Any:
        try:
            return decode(data)
        except msgspec.ValidationError:
            value = msgspec.json.decode(data)
            return msgspec.convert(in_json_names(value, message_type), message_type)

    return decode_either


def in_json_names(value: Any, message_type: Any) -> Any:
    """Return a decoded message with the names of JSON for proto names, in the messages within it too.

    Raises:
        ServiceError: `INVALID_REQUEST` for a field that is given by both names.
    """
    if isinstance(value, list):
        return [in_json_names(item, message_type) for item in value]
    if not isinstance(value, dict):
        return value
    fields = fields_of(message_type)
    found: dict[str, Any] = {}
    for name, inner in value.items():
        json_name, inner_type = fields.get(name, (name, None))
        if json_name in found:
            raise invalid_request(
                [FieldViolation(json_name, f"{json_name} must be given once, was given as {name} too")]
            )
        found[json_name] = inner if inner_type is None else in_json_names(inner, inner_type)
    return found


def fields_of(message_type: type[Any]) -> Fields:
    """Return the name in JSON and the message type, if it is one, of each field, by both of its names."""
    found = _fields.get(message_type)
    if found is None:
        members = msgspec.structs.fields(message_type)
        own = {member.encode_name: (member.encode_name, _message_in(member.type)) for member in members}
        found = {member.name: own[member.encode_name] for member in members} | own
        _fields[message_type] = found
    return found


def lists_of(message_type: type[Any]) -> tuple[str, ...]:
    """Return the names in JSON of a message's lists."""
    return tuple(
        member.encode_name
        for member in msgspec.structs.fields(message_type)
        if any(get_origin(each) is list for each in (member.type, *get_args(member.type)))
    )


def has_other_names(message_type: type[Any]) -> bool:
    """Tell whether a message, or one within it, has other names in JSON than in the protos."""
    pending, seen = [message_type], {message_type}
    while pending:
        for name, (json_name, inner) in fields_of(pending.pop()).items():
            if name != json_name:
                return True
            if inner is not None and inner not in seen:
                seen.add(inner)
                pending.append(inner)
    return False


def _message_in(annotation: Any) -> type[Any] | None:
    """Return the message type in a type, an optional one or a list of it; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _message_in(inner)) is not None), None)
