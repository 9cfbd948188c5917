"""Token cache: tokens of documents by text. Tokenizing 250 tokens costs 0.5 ms, a look-up 10 us."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

from rerankd.local.tokens.tokenizer import TextTokens, Tokenizer
from rerankd.local.tokens.vectors import VectorCache
from rerankd_adapters.base import Truncation

_LONGEST_CHARACTERS = 65_536
"""Longer texts are not cached: only their beginning is tokenized, and hashing all of them costs more."""


@dataclass(frozen=True, slots=True)
class _Entry:
    ids: array[int]
    is_cut: bool

    @property
    def nbytes(self) -> int:
        return len(self.ids) * self.ids.itemsize


class TokenCache:
    """Caches tokens in the memory of the vector cache. Safe to use from any thread.

    Args:
        tokenizer: Tokenizes what is not cached.
        identity: Names the tokenizer, or the weights it belongs to; part of the key.
        cache: Holds the entries, and bounds them.
    """

    def __init__(self, tokenizer: Tokenizer, identity: str, cache: VectorCache) -> None:
        self._tokenizer = tokenizer
        self._identity = identity
        self._cache = cache

    def tokenize(self, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> TextTokens:
        """Return what `Tokenizer.tokenize` returns, from the cache where it is known."""
        found = self.find(text, limit_tokens, cut)
        if found is not None:
            return found
        tokens = self._tokenizer.tokenize(text, limit_tokens, cut)
        if len(text) <= _LONGEST_CHARACTERS:
            self._cache.put(self._key(text, limit_tokens, cut), _Entry(array("i", tokens.ids), tokens.is_cut))
        return tokens

    def find(self, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> TextTokens | None:
        """Return the cached tokens; `None` when they are not known."""
        if len(text) > _LONGEST_CHARACTERS:
            return None
        entry: _Entry | None = self._cache.get(self._key(text, limit_tokens, cut))
        return None if entry is None else TextTokens(entry.ids.tolist(), entry.is_cut)

    def _key(self, text: str, limit_tokens: int, cut: Truncation) -> bytes:
        digest = hashlib.blake2b(f"{self._identity}\x1f{limit_tokens}\x1f{cut}\x1f".encode(), digest_size=16)
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()
