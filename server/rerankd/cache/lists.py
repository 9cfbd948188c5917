"""Keys of whole lists that were asked for before: one hash of a list instead of one of each document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rerankd.cache.keys import Naming, are_texts

FEWEST = 16
"""Documents of a list; the keys of fewer are made as quickly."""
LIST_BYTES = 512
LISTED_KEY_BYTES = 72
"""What a list costs, and each key of it, though most keys are shared with the memory of scores."""


class _Listed(NamedTuple):
    name: bytes
    keys: Sequence[bytes]


class ListedKeys:
    """Keys of lists, bounded by bytes; those used least recently go first. For one event loop.

    There is one list for each pair of a query and a first document, the one that was put last: a list whose first and
    last documents are not those of that one need not be hashed whole to know that it is another.

    Args:
        limit_bytes: Memory to use.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lists: dict[bytes, _Listed] = {}
        self.used_bytes = 0
        """Bytes held, as accounted."""

    def get(self, naming: Naming, documents: Sequence[str | bytes]) -> Sequence[bytes] | None:
        """Return the keys of a list that was put, one a document in their order; they are those of `naming`."""
        if len(documents) < FEWEST:
            return None
        first, last = naming.keys((documents[0], documents[-1]))
        listed = self._lists.get(first)
        if listed is None or listed.keys[-1] != last or not are_texts(documents):
            return None
        if listed.name != naming.list_key(documents):
            return None
        self._lists[first] = self._lists.pop(first)  # now the one used last
        return listed.keys

    def put(self, naming: Naming, documents: Sequence[str | bytes], keys: Sequence[bytes]) -> None:
        """Keep the keys that `naming` has for a list; they are not changed from now on."""
        if len(documents) < FEWEST or not are_texts(documents) or _size(keys) > self._limit_bytes:
            return
        self._remove(keys[0])
        self._lists[keys[0]] = _Listed(naming.list_key(documents), keys)
        self.used_bytes += _size(keys)
        while self.used_bytes > self._limit_bytes:
            self._remove(next(iter(self._lists)))

    def _remove(self, first: bytes) -> None:
        listed = self._lists.pop(first, None)
        if listed is not None:
            self.used_bytes -= _size(listed.keys)


def _size(keys: Sequence[bytes]) -> int:
    return LIST_BYTES + LISTED_KEY_BYTES * len(keys)
