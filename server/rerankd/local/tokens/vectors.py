"""Vector cache: document vectors and tokens, bounded by bytes, least recently used evicted first."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

ENTRY_BYTES = 200
"""Overhead of an entry beside its numbers: key, array header, links."""


class CacheEntry(Protocol):
    """An array, or an object that holds one."""

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        ...


def content_key(network: str, use: str, ids: Sequence[int]) -> bytes:
    """Hash everything the vectors of a text depend on.

    Args:
        network: Identity of the weights.
        use: Kind of vectors, such as `tokens` or `mean`.
        ids: Tokens as encoded, prefix and truncation included.

    Returns:
        16 bytes.
    """
    digest = hashlib.blake2b(f"{network}\x1f{use}\x1f".encode(), digest_size=16)
    digest.update(array("i", ids).tobytes())
    return digest.digest()


class VectorCache:
    """LRU cache bounded by bytes. Safe to use from any thread.

    A key implies the type of its entry.

    Args:
        limit_bytes: Memory for entries, overhead included; 0 caches nothing.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[bytes, CacheEntry] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    @property
    def limit_bytes(self) -> int:
        """Bytes it may hold, overhead included."""
        return self._limit_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes held now."""
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes) -> Any | None:
        """Return the entry of `key`, of the type that the key implies, and mark it as used."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def touch(self, key: bytes) -> int | None:
        """Mark the entry of `key` as used; return its bytes, overhead included, `None` when there is none."""
        found = self.get(key)
        return None if found is None else found.nbytes + ENTRY_BYTES

    def put(self, key: bytes, entry: CacheEntry) -> None:
        """Store `entry`, evicting the least recently used; one above the whole limit is not stored."""
        size = entry.nbytes + ENTRY_BYTES
        if size > self._limit_bytes:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self._used_bytes -= replaced.nbytes + ENTRY_BYTES
            self._entries[key] = entry
            self._used_bytes += size
            while self._used_bytes > self._limit_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._used_bytes -= dropped.nbytes + ENTRY_BYTES
