"""Parsing of adapter option values, which are strings when they come from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd_adapters.base import AdapterError, AdapterErrorKind

_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True}
_BOOLEANS_OFF: Final = {"false": False, "0": False, "no": False, "off": False, "": False}


def read_bool(options: Mapping[str, object], name: str, default: bool = False) -> bool:
    """Return a boolean option.

    Raises:
        AdapterError: `REJECTED` for a value that is not a boolean.
    """
    value = options.get(name, default)
    known = {**_BOOLEANS, **_BOOLEANS_OFF}
    said = str(value).strip().lower()
    if said not in known:
        raise AdapterError(AdapterErrorKind.REJECTED, f"the option {name} is neither true nor false")
    return known[said]


def read_whole(options: Mapping[str, object], name: str, least: int = 0) -> int | None:
    """Return an integer option; `None` if it is not set.

    Raises:
        AdapterError: `REJECTED` for a value that is not an integer >= `least`.
    """
    value = options.get(name)
    if value is None or value == "":
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise AdapterError(AdapterErrorKind.REJECTED, f"the option {name} is not a whole number >= {least}")
    return number


def read_choice(options: Mapping[str, object], name: str, choices: tuple[str, ...]) -> str:
    """Return an enumerated option; the first of `choices` if it is not set.

    Raises:
        AdapterError: `REJECTED` for a value that is not in `choices`.
    """
    value = str(options.get(name) or choices[0])
    if value not in choices:
        raise AdapterError(AdapterErrorKind.REJECTED, f"the option {name} is none of {', '.join(choices)}")
    return value
