"""Types of fields that the messages of several proto files have, beside those of `rerankd.contract.messages`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec

Timestamp: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""`google.protobuf.Timestamp`: a time with its zone; in JSON as RFC 3339 has it."""
FieldMask: TypeAlias = str
"""`google.protobuf.FieldMask` in its JSON form: paths of fields with commas between them; see `paths_of`."""
_CAPITAL: Final = re.compile(r"[A-Z]")


def paths_of(mask: FieldMask | None) -> list[str]:
    """Return the paths of a field mask with proto names, `topN,config.model` as `top_n` and `config.model`."""
    paths = [path.strip() for path in (mask or "").split(",")]
    return [_CAPITAL.sub(lambda found: f"_{found[0].lower()}", path) for path in paths if path]


def empty_list() -> list[Any]:
    """Make an empty list that is printed; one made by `list` itself is not."""
    return []


def empty_map() -> dict[str, Any]:
    """Make an empty map that is printed; one made by `dict` itself is not."""
    return {}
