"""A cache of document vectors and of the tokens they are made of, bounded by bytes."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

_ENTRY_BYTES = 200
"""What an entry costs beside its numbers: key, array header, links."""


class Kept(Protocol):
    """What can be kept: an array, or something that holds one."""

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        ...


def content_key(network: str, use: str, ids: Sequence[int]) -> bytes:
    """Name the vectors of a text by everything they depend on.

    Args:
        network: Identity of the weights.
        use: What is stored, such as `tokens` or `mean`.
        ids: Tokens as they are read: prefix and cutting are in them.

    Returns:
        16 bytes.
    """
    digest = hashlib.blake2b(f"{network}\x1f{use}\x1f".encode(), digest_size=16)
    digest.update(array("i", ids).tobytes())
    return digest.digest()


class VectorCache:
    """The least recently used entries go first when the bytes are spent. Safe to use from any thread.

    A key says what is kept under it, and so of which type it is.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[bytes, Kept] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes held now."""
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes) -> Any | None:
        """Find what is kept under `key` and mark it as used."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: bytes, entry: Kept) -> None:
        """Keep `entry`, dropping the least recently used ones; too large ones are not kept."""
        size = entry.nbytes + _ENTRY_BYTES
        if size > self._limit_bytes:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self._used_bytes -= replaced.nbytes + _ENTRY_BYTES
            self._entries[key] = entry
            self._used_bytes += size
            while self._used_bytes > self._limit_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._used_bytes -= dropped.nbytes + _ENTRY_BYTES
