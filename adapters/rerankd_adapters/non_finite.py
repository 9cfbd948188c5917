"""Finds numbers that JSON does not have, such as `NaN`, in a body that is JSON otherwise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_MARKS: Final = re.compile(rb"NaN|Infinity|\d[eE]\+?\d{3}|\d{309}")
"""How such a number is written; without one the body is not read a second time."""
_MAX_BYTES: Final = 256 * 1024
"""Longer bodies are not read a second time: it blocks the event loop."""
_SIMPLE_KEY: Final = re.compile(r"\w{1,40}")


def find_non_finite(body: bytes) -> str | None:
    """Return path and value of the first number that is not finite, such as "results[3].relevance_score is NaN".

    Args:
        body: A body that is not JSON as RFC 8259 has it.

    Returns:
        `None` when something else is wrong with the body.
    """
    if len(body) > _MAX_BYTES or not _MARKS.search(body):
        return None
    try:
        found = _find(json.loads(body))
    except (ValueError, RecursionError):
        return None
    if found is None:
        return None
    path = "".join(reversed(found.path)).removeprefix(".")
    return f"{path or 'the body'} is {_name(found.value)}"


class _Found(NamedTuple):
    value: float
    path: list[str]
    """Steps to the value, innermost first: a step is made only on the way back from what was found."""


def _find(value: object) -> _Found | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else _Found(value, [])
    children: Iterable[tuple[int | str, object]] = ()
    if isinstance(value, list):
        children = enumerate(value)
    elif isinstance(value, dict):
        children = value.items()
    for key, child in children:
        if found := _find(child):
            found.path.append(_step(key))
            return found
    return None


def _step(key: int | str) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _SIMPLE_KEY.fullmatch(key) else ".*"


def _name(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
