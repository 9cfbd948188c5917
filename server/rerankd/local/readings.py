"""Tokens of documents, kept by their text: reading 250 tokens costs 0.5 ms, finding them again 10 us."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

from rerankd.local.reading import Reading, TokenReader
from rerankd.local.vectors import VectorCache
from rerankd_adapters.base import Truncation

_LONGEST = 65_536
"""Characters; of longer texts little is read, so that a key of them would cost more than reading them."""


@dataclass(frozen=True, slots=True)
class _Kept:
    ids: array[int]
    is_cut: bool

    @property
    def nbytes(self) -> int:
        return len(self.ids) * self.ids.itemsize


class KeptReader:
    """A reader that keeps what it read beside the vectors made of it. Safe to use from any thread.

    Args:
        reader: Reads what is not kept.
        identity: Names the tokenizer, or the weights it belongs to.
        cache: Where readings are kept.
    """

    def __init__(self, reader: TokenReader, identity: str, cache: VectorCache) -> None:
        self._reader = reader
        self._identity = identity
        self._cache = cache

    def read(self, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> Reading:
        """Tokenize as `TokenReader.read` does."""
        found = self.find(text, limit_tokens, cut)
        if found is not None:
            return found
        reading = self._reader.read(text, limit_tokens, cut)
        if len(text) <= _LONGEST:
            self._cache.put(self._key(text, limit_tokens, cut), _Kept(array("i", reading.ids), reading.is_cut))
        return reading

    def find(self, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> Reading | None:
        """Return what `read` does where it is kept, else `None`."""
        if len(text) > _LONGEST:
            return None
        kept: _Kept | None = self._cache.get(self._key(text, limit_tokens, cut))
        return None if kept is None else Reading(kept.ids.tolist(), kept.is_cut)

    def _key(self, text: str, limit_tokens: int, cut: Truncation) -> bytes:
        digest = hashlib.blake2b(f"{self._identity}\x1f{limit_tokens}\x1f{cut}\x1f".encode(), digest_size=16)
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()
