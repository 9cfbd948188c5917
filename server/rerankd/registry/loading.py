"""Stored rerankers as an engine takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from rerankd.registry.stored_reranker import RerankerContent, StoredReranker
from rerankd.registry.validation import Checked, settings_of
from rerankd.strategies.settings import AnyReranker


class LoadedRerankers(NamedTuple):
    """The stored rerankers at one time."""

    settings: Mapping[str, AnyReranker] = MappingProxyType({})
    """By key."""
    faulty: Mapping[str, Sequence[str]] = MappingProxyType({})
    """Problems of those whose settings cannot be read, as after a downgrade; by key."""
    versions: Mapping[str, int] = MappingProxyType({})
    """By key, of all of them."""


_MAX_KEPT: Final = 2_000
_kept: Final[dict[str, tuple[RerankerContent, Checked]]] = {}
"""What was read last, by key: reading takes a millisecond, and of all rerankers few change at a time."""


def load(rerankers: Iterable[StoredReranker]) -> LoadedRerankers:
    """Read the settings of stored rerankers."""
    settings: dict[str, AnyReranker] = {}
    faulty: dict[str, Sequence[str]] = {}
    versions: dict[str, int] = {}
    for each in rerankers:
        checked = _checked(each.key, each.content)
        versions[each.key] = each.version
        if checked.settings is None:
            faulty[each.key] = [violation.description for violation in checked.violations]
        else:
            settings[each.key] = checked.settings
    return LoadedRerankers(settings, faulty, versions)


def _checked(key: str, content: RerankerContent) -> Checked:
    kept = _kept.get(key)
    if kept is not None and kept[0] == content:
        return kept[1]
    checked = settings_of(key, content)
    if len(_kept) >= _MAX_KEPT:
        _kept.clear()
    _kept[key] = (content, checked)
    return checked
