"""Turns msgspec's validation errors into field violations: field path, expected and given type, similar names.

Runs for refused requests only, so it is written for clarity, not for speed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final, get_args

import msgspec

from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.suggestions import did_you_mean

_PATH: Final = re.compile(r"^(?P<complaint>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_TYPES: Final = re.compile(r"^Expected `(?P<wanted>[^`]+)`(?P<bound>[^,]*)(?:, got `(?P<given>[^`]+)`)?$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_ENUM: Final = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_NO_TIME: Final = ("Invalid RFC3339 encoded datetime", "Expected `datetime` with a timezone component")
_FIELD_NAME: Final = re.compile(r"\.(\w+)")
_SHOWN_CHARS: Final = 100
_WORDS: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


def explain(complaint: str, message_type: type[Any], what: str) -> ServiceError:
    """Convert the text of a `msgspec.ValidationError` to `INVALID_REQUEST` with a field violation.

    Args:
        complaint: Text of the error, such as "Expected `str`, got `int` - at `$.documents[3].text`".
        message_type: Type that was being decoded.
        what: Name of the decoded text, for an error without a field: "the body" or "line 7".
    """
    split = _PATH.match(complaint)
    text, path = (split["complaint"], (split["path"] or "").removeprefix(".")) if split else (complaint, "")
    if unknown := _UNKNOWN.match(text):
        name = unknown["name"][:_SHOWN_CHARS]
        return _violation(f"{path}.{name}" if path else name, _unknown_field(name, _type_at(message_type, path)))
    rule = _rule(text, _type_at(message_type, path))
    if not path:
        return ServiceError(Reason.INVALID_REQUEST, f"{what} {rule}", metadata={"part": what})
    return _violation(path, rule)


def _violation(path: str, rule: str) -> ServiceError:
    return invalid_request([FieldViolation(path, f"{path} {rule}")])


def _rule(text: str, field_type: Any) -> str:
    if text in _NO_TIME:
        return "must be a time with its zone, such as 2026-01-31T08:00:00Z"
    if types := _TYPES.match(text):
        given = f", was {_in_words(types['given'])}" if types["given"] else ""
        return f"must be {_in_words(types['wanted'])}{types['bound']}{given}"
    if (value := _ENUM.match(text)) and isinstance(field_type, type) and issubclass(field_type, StrEnum):
        known = ", ".join(f'"{member}"' for member in field_type if member != "unspecified")
        return f"must be one of {known}, was {value['value'][:_SHOWN_CHARS]}"
    return text[:1].lower() + text[1:]


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _unknown_field(name: str, owner: Any) -> str:
    known = list(getattr(owner, "__struct_encode_fields__", ()))
    return "is not a field" + (did_you_mean(name, known) or f"; known are {', '.join(known)}")


def _type_at(message_type: Any, path: str) -> Any:
    """Return the message or enum type at a field path; None for other types."""
    current = message_type
    for name in _FIELD_NAME.findall(f".{path}"):
        if not getattr(current, "__struct_fields__", None):
            return None
        types = {member.encode_name: member.type for member in msgspec.structs.fields(current)}
        current = _innermost(types.get(name))
    return current


def _innermost(annotation: Any) -> Any:
    """Return the message or enum type inside unions and lists; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, (msgspec.Struct, StrEnum)):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _innermost(inner)) is not None), None)
