"""Decodes JSON and query parameters to contract types; errors name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.gateway.client_rerankers import CLIENT_ROUTES
from rerankd.gateway.decode_errors import explain
from rerankd.gateway.json_names import decoder_of, fields_of, lists_of
from rerankd.gateway.routes import ROUTES

MOST_KEYS: Final = 100
"""Top-level keys of a body, about four times as many as any dialect has."""
_MOST_PARAMETERS: Final = 100
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DECODE: Final[Mapping[type[Any], Callable[[bytes], Any]]] = {
    route.request_type: decoder_of(route.request_type) for route in (*ROUTES, *CLIENT_ROUTES) if route.has_body
}
_REPEATED: Final[Mapping[type[Any], Collection[str]]] = {
    route.request_type: lists_of(route.request_type) for route in ROUTES if not route.has_body
}
_TIMES: Final[Mapping[type[Any], frozenset[str]]] = {
    route.request_type: frozenset(
        member.encode_name for member in msgspec.structs.fields(route.request_type) if "datetime" in str(member.type)
    )
    for route in ROUTES
    if not route.has_body
}
"""Fields that are times, which a query may give as dates."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MIDNIGHT: Final = "T00:00:00Z"
_SPACED_OFFSET: Final = re.compile(r"(?<=\d) (?=\d\d:\d\d$)")
"""What a plus before an offset becomes where a caller has not escaped it."""
_GIVEN_TYPE: Final = re.compile(r", got `\w+`")


def decode_json(data: bytes, message_type: type[Any], what: str) -> Any:
    """Decode one message.

    Args:
        data: JSON text in UTF-8.
        message_type: Request type of one of the routes.
        what: Name of `data` in errors: "the body" or "line 7".

    Raises:
        ServiceError: `INVALID_REQUEST`, with the field's path if a field is invalid.
    """
    return decode_with(_DECODE[message_type], data, message_type, what)


def decode_with(decode: Callable[[bytes], Any], data: bytes, message_type: type[Any], what: str) -> Any:
    """Decode JSON with a given decoder of `message_type`.

    Raises:
        ServiceError: As `decode_json`.
    """
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise explain(str(error), message_type, what) from None
    except UnicodeDecodeError:
        raise _unreadable(what, "it is not UTF-8") from None
    except RecursionError:
        raise _unreadable(what, "it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _unreadable(what, str(error) if data.strip() else "it is empty") from None


def keys_of(data: bytes) -> dict[str, msgspec.Raw]:
    """Return the top-level keys of a body; values stay encoded.

    Raises:
        ServiceError: `INVALID_REQUEST` for a body that is not a JSON object, or has too many keys.
    """
    keys: dict[str, msgspec.Raw] = decode_with(_decode_keys, data, dict, "the body")
    if len(keys) > MOST_KEYS:
        raise too_many_keys(MOST_KEYS)
    return keys


def too_many_keys(most: int) -> ServiceError:
    """Build the error for a body with too many top-level keys."""
    rule = f"the body has more than {most} keys; send the fields of a rerank request"
    return ServiceError(Reason.INVALID_REQUEST, rule, metadata={"part": "the body", "max_keys": str(most)})


def decode_query(query: bytes, variables: Mapping[str, str], message_type: type[Any]) -> Any:
    """Build a request from query parameters and path variables; each parameter is a field, by either of its names.

    Raises:
        ServiceError: `INVALID_REQUEST` for an unknown, doubled or mistyped parameter.
    """
    fields = fields_of(message_type)
    values: dict[str, Any] = {}
    for given, value in _parse(query):
        name = fields[given][0] if given in fields else given
        if name in _REPEATED.get(message_type, ()):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise invalid_request([FieldViolation(name, f"{name} must be given once")])
        else:
            values[name] = value
    for name, value in variables.items():
        check_path_value(name, value, values.get(fields[name][0]))
        values[fields[name][0]] = value
    for name in _TIMES.get(message_type, frozenset()) & values.keys():
        values[name] = _as_time(values[name])
    try:
        return msgspec.convert(values, message_type, strict=False)
    except msgspec.ValidationError as error:
        raise explain(_without_types(str(error)), message_type, "the query") from None


def check_path_value(name: str, value: str, sent: object) -> None:
    """Check what body or query says of a field that the path names.

    Args:
        name: The field.
        value: In the path.
        sent: In body or query; empty or `None` where it is left out.

    Raises:
        ServiceError: `INVALID_REQUEST`: it says something else.
    """
    if sent and sent != value:
        rule = f"{name} must be left out, or be {value!r} as in the path: it names what the call is about"
        raise invalid_request([FieldViolation(name, rule)])


def _as_time(given: str) -> str:
    """Return a time of a query as RFC 3339 has it; a date is its first moment, in UTC."""
    return given + _MIDNIGHT if _DATE.fullmatch(given) else _SPACED_OFFSET.sub("+", given)


def _without_types(complaint: str) -> str:
    """Return a complaint without what no query parameter can be: all of them are texts."""
    return _GIVEN_TYPE.sub("", complaint).replace(" | null`", "`")


def _parse(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise _unreadable("the query", f"it has more than {_MOST_PARAMETERS} parameters") from None


def _unreadable(what: str, why: str) -> ServiceError:
    return ServiceError(Reason.INVALID_REQUEST, f"{what} cannot be read as JSON: {why}", metadata={"part": what})
