"""A cache of document vectors, bounded by bytes."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating]

_ENTRY_BYTES = 200
"""What an entry costs beside its numbers: key, array header, links."""


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
    """Least recently used vectors go first when the bytes are spent. Safe to use from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[bytes, Array] = OrderedDict()
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

    def get(self, key: bytes) -> Array | None:
        """Find the vectors of `key` and mark them as used."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: bytes, vectors: Array) -> None:
        """Keep `vectors`, dropping the least recently used ones; too large ones are not kept."""
        size = vectors.nbytes + _ENTRY_BYTES
        if size > self._limit_bytes:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self._used_bytes -= replaced.nbytes + _ENTRY_BYTES
            self._entries[key] = vectors
            self._used_bytes += size
            while self._used_bytes > self._limit_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._used_bytes -= dropped.nbytes + _ENTRY_BYTES
