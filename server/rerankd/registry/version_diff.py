"""Differences between two versions of a reranker, by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

MISSING: Final = object()


class FieldDifference(NamedTuple):
    """One value that differs."""

    path: str
    """Such as `config.stages[1].keep`."""
    before: Any
    """`MISSING` where there was none."""
    after: Any
    """`MISSING` where there is none."""


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldDifference]:
    """Yield what differs between two JSON values, the smallest parts that do, in the order of the first."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            below = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key, MISSING), after.get(key, MISSING), below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (was, is_) in enumerate(zip(before, after, strict=True)):
            yield from differences(was, is_, f"{path}[{index}]")
    elif before != after:
        yield FieldDifference(path, before, after)
