"""Differences between two settings structs, as key paths without values: values may be secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

Struct = TypeVar("Struct", bound=msgspec.Struct)


def changed_paths(old: object, new: object, path: str = "") -> list[str]:
    """List the paths of all values that differ, such as `models.fast.deployments[1].weight`, in field order."""
    if type(old) is not type(new):
        return [path]
    if isinstance(old, msgspec.Struct):
        fields = [(name, getattr(old, name), getattr(new, name)) for name in old.__struct_fields__]
        return [found for name, was, is_ in fields for found in changed_paths(was, is_, f"{path}.{name}".lstrip("."))]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        return [found for key in keys for found in _changed_item(old, new, key, f"{path}.{key}".lstrip("."))]
    if isinstance(old, Sequence) and isinstance(new, Sequence) and not isinstance(old, str) and len(old) == len(new):
        items = enumerate(zip(old, new, strict=True))
        return [found for index, (was, is_) in items for found in changed_paths(was, is_, f"{path}[{index}]")]
    return [] if old == new else [path]


def _changed_item(old: Mapping[object, object], new: Mapping[object, object], key: object, path: str) -> list[str]:
    return changed_paths(old[key], new[key], path) if key in old and key in new else [path]


def is_within(path: str, prefixes: Sequence[str]) -> bool:
    """Whether `path` equals one of `prefixes` or is below one."""
    return any(path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")) for prefix in prefixes)


def keep(new: Struct, old: Struct, paths: Sequence[str]) -> Struct:
    """Return `new` with the fields at `paths` copied from `old`.

    Args:
        new: Struct to copy.
        old: Struct of the same type.
        paths: Dotted field paths, such as `limits.max_request_bytes`.
    """
    for path in paths:
        name, _, rest = path.partition(".")
        kept = keep(getattr(new, name), getattr(old, name), [rest]) if rest else getattr(old, name)
        new = msgspec.structs.replace(new, **{name: kept})
    return new
