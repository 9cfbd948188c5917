"""Protobuf's and Google's own types to Python values and back, for the generated converters.

Every function is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any, Final, TypeVar

from google.protobuf import any_pb2, field_mask_pb2, json_format, struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.value_types import FieldMask, paths_of

_EnumT = TypeVar("_EnumT")
_TYPE_PREFIX: Final = "type.googleapis.com/"
_LARGEST_EXACT_INT: Final = 2**53
_DETAIL_TYPES: Final[Mapping[str, type[Message]]] = {
    _TYPE_PREFIX + "google.rpc.BadRequest": error_details_pb2.BadRequest,
    _TYPE_PREFIX + "google.rpc.ErrorInfo": error_details_pb2.ErrorInfo,
    _TYPE_PREFIX + "google.rpc.QuotaFailure": error_details_pb2.QuotaFailure,
    _TYPE_PREFIX + "google.rpc.RetryInfo": error_details_pb2.RetryInfo,
}


def struct_from_proto(message: struct_pb2.Struct) -> dict[str, Any]:
    """Turn a protobuf Struct into a dict in the order of names; whole numbers become int, equal names one string.

    The order of a map on the wire is chance, another one in each process, and would change what models are sent.
    """
    fields = message.fields
    names = sorted(fields)
    values = [value.string_value or _value_from_proto(value) for value in map(fields.__getitem__, names)]
    return dict(zip(map(intern, names), values, strict=True))


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
        return {"@type": detail.type_url}
    content = json_format.MessageToDict(detail_type.FromString(detail.value))
    return {"@type": detail.type_url, **content}


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
        raise ValueError(f"no such error detail: {type_url!r}")
    packed = any_pb2.Any()
    packed.Pack(json_format.ParseDict(content, detail_type()))
    return packed


def known_value(values: Mapping[int, _EnumT], number: int, field: str) -> _EnumT:
    """Return the value of an enum's number.

    Args:
        values: All values by number.
        number: As it was sent.
        field: Name of the field, for the error.

    Raises:
        ServiceError: `INVALID_REQUEST` for a number that this version does not know.
    """
    known = values.get(number)
    if known is None:
        listed = ", ".join(f"{value} ({number})" for number, value in values.items())
        raise invalid_request([FieldViolation(field, f"{field} must be one of {listed}, was {number}")])
    return known


def timestamp_from_proto(message: timestamp_pb2.Timestamp) -> datetime:
    """Turn a protobuf Timestamp into a time in UTC, to the microsecond.

    Raises:
        ValueError: It is out of protobuf's range, the years 1 to 9999.
    """
    try:
        return message.ToDatetime(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def timestamp_to_proto(value: datetime) -> timestamp_pb2.Timestamp:
    """Turn a time with a zone into a protobuf Timestamp."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value)
    return message


def field_mask_from_proto(message: field_mask_pb2.FieldMask) -> FieldMask:
    """Turn a protobuf FieldMask into paths with commas between them."""
    return ",".join(message.paths)


def field_mask_to_proto(value: FieldMask) -> field_mask_pb2.FieldMask:
    """Turn paths with commas between them into a protobuf FieldMask, whose paths have proto names."""
    return field_mask_pb2.FieldMask(paths=paths_of(value))
