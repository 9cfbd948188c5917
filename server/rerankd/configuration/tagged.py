"""Settings of several types, told apart by the value of one key, as `strategy: fusion`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec


class Tags(NamedTuple):
    """The types that a value may have, told apart by a key."""

    field: str
    """The key."""
    structs: Mapping[str, type[msgspec.Struct]]
    """Types by value of the key."""


def tags_of(wanted: object) -> Tags | None:
    """Return how the types of a union, or one type that could be part of one, are told apart; `None` if by no key."""
    structs: dict[str, type[msgspec.Struct]] = {}
    field = ""
    for member in get_args(wanted) or (wanted,):
        if not (isinstance(member, type) and issubclass(member, msgspec.Struct)):
            return None
        config = member.__struct_config__
        if config.tag_field is None or not isinstance(config.tag, str):
            return None
        field = config.tag_field
        structs[config.tag] = member
    return Tags(field, structs)


def tagged_struct(value: Any, tags: Tags) -> type[msgspec.Struct] | None:
    """Return the type that a mapping says it has; `None` if it says none of those known."""
    given = value.get(tags.field) if isinstance(value, dict) else None
    return tags.structs.get(given) if isinstance(given, str) else None
