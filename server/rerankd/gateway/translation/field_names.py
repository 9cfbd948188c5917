"""Paths of a dialect's fields in errors: what its callers call a field of the contract.

A dialect declares its names (`Dialect.names`); paths within queries and documents follow from what the caller sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from rerankd.contract.errors import ServiceError
from rerankd.contract.field_paths import rename_fields, top_level
from rerankd.gateway.translation.parsed_request import ParsedRequest

_PATH: Final = re.compile(r"(?P<name>\w+)(?:\[(?P<index>\d{1,9})\])?(?:\.(?P<part>\w+))?")
_IMAGE_KEYS: Final = ("image_url", "image")
Names = Mapping[str, tuple[str, ...]]
"""Names by field of the contract, n >= 1: the first is meant unless the caller sent another."""


class HasFields(Protocol):
    """The part of a dialect that knows its fields."""

    def query_path(self, parsed: ParsedRequest, index: int | None) -> str:
        """Return the path of the query, or of the query of the pair at `index`."""
        ...

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of `part` of a document, such as "text"; empty for the whole."""
        ...

    def name_of(self, field: str, parsed: ParsedRequest) -> str:
        """Return the path of any other field, or of all documents."""
        ...


def in_own_names(error: ServiceError, dialect: HasFields, parsed: ParsedRequest) -> ServiceError:
    """Return an error of the service with the fields as the caller of a dialect wrote them."""
    return rename_fields(error, lambda field: _path_of(field, dialect, parsed))


def _path_of(field: str, dialect: HasFields, parsed: ParsedRequest) -> str:
    if (own := top_level(field, parsed.own_names)) != field:
        return own
    if (found := _PATH.fullmatch(field)) is None:
        return field
    name, index = found["name"], None if found["index"] is None else int(found["index"])
    if name == "query" or (name == "query_image" and isinstance(getattr(parsed.body, "query", None), dict | list)):
        return dialect.query_path(parsed, index)
    if name == "documents" and index is not None:
        return dialect.document_path(parsed, index, found["part"] or "")
    return dialect.name_of(name, parsed) + field.removeprefix(name)


def used_name(names: tuple[str, ...], body: Any) -> str:
    """Return the name among those of one field that a body has; the first if it has none."""
    if len(names) > 1 and body is not None:
        attributes = zip(body.__struct_encode_fields__, body.__struct_fields__, strict=True)
        given = {name for name, attribute in attributes if getattr(body, attribute) is not None}
        return next((name for name in names if name in given), names[0])
    return names[0]


def part_of_query(path: str, sent: Any) -> str:
    """Return the path of the text of a query that may be an object."""
    if not isinstance(sent, dict):
        return path
    if isinstance(sent.get("content"), str | list):
        return f"{path}.content"
    return f"{path}.text" if "text" in sent else path


def part_of_document(path: str, sent: Mapping[str, Any], part: str) -> str:
    """Return the path of a part of a document that the caller sent as an object, whose keys may be fields of its own.

    Args:
        path: Of the document.
        sent: The object.
        part: "text", "image", "fields" or "prior_score"; empty for the document.
    """
    keys = _IMAGE_KEYS if part == "image" else (part,)
    key = next((each for each in (*keys, "content") if each in sent), "")
    if key == "content" and part not in ("text", "image"):
        key = ""
    return f"{path}.{key}" if key else path
