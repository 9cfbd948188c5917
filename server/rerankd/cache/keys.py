"""Cache keys: a hash of everything a score depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import repeat
from typing import Any, TypeGuard

import msgspec

KEY_VERSION = 1
"""Incremented when keys or the meaning of scores change, so that old entries are never read again."""
KEY_BYTES = 16
SLICE_CHARS = 512 * 1024
"""Characters or bytes of documents that are hashed in one go."""

_TEXT, _BYTES = b"t", b"b"
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class ScoreScope(msgspec.Struct, frozen=True):
    """Everything but the documents that the scores of one call depend on."""

    provider: str
    model: str
    """The provider's name of the model."""
    query: str | bytes
    """Text, or the bytes of any other content."""
    revision: str = ""
    """Identity of the model's weights, where known."""
    parameters: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Parameters that change scores, such as truncation or an instruction: JSON values, keys in any order."""


class Naming:
    """Computes the keys of one scope, which is hashed once.

    Lengths and types are part of the hash, so that different inputs have different keys: ("a", "bc") and ("ab", "c"),
    "a" and b"a".

    Args:
        scope: Model, query and parameters.
    """

    __slots__ = ("_bytes_seed", "_text_seed", "shard")

    def __init__(self, scope: ScoreScope) -> None:
        query = scope.query
        parts = (KEY_VERSION, scope.provider, scope.model, scope.revision, isinstance(query, str), _raw(query))
        seed = blake2b(_encode((*parts, scope.parameters)), digest_size=KEY_BYTES)
        self.shard = seed.digest()[0]
        """0 to 255, the same for all pairs of the scope."""
        self._text_seed, self._bytes_seed = seed.copy(), seed
        self._text_seed.update(_TEXT)
        self._bytes_seed.update(_BYTES)

    def keys(self, documents: Sequence[str | bytes]) -> list[bytes]:
        """Compute one key a document: about 1 us, and more for long texts.

        Args:
            documents: n texts, or bytes of other content.

        Returns:
            n keys of 16 bytes, in the order of the documents.
        """
        if not _are_texts(documents):
            return [key for document in documents for key in _digests(self._seed(document), [_raw(document)])]
        return _digests(self._text_seed, map(str.encode, documents, repeat("utf-8"), repeat("surrogatepass")))

    async def keys_in_slices(self, documents: Sequence[str | bytes]) -> list[bytes]:
        """Compute the same as `keys`; the event loop is yielded after each 512 KiB, some 0.5 ms."""
        keys: list[bytes] = []
        start = size = 0
        for end, document in enumerate(documents, 1):
            size += len(document)
            if size > SLICE_CHARS:
                keys += self.keys(documents[start:end])
                start, size = end, 0
                await asyncio.sleep(0)
        return keys + self.keys(documents[start:])

    def _seed(self, document: str | bytes) -> blake2b:
        return self._text_seed if isinstance(document, str) else self._bytes_seed


def _are_texts(documents: Sequence[str | bytes]) -> TypeGuard[Sequence[str]]:
    """Whether all of them are text."""
    return set(map(type, documents)) <= {str}


def _digests(seed: blake2b, contents: Iterable[bytes]) -> list[bytes]:
    """Hash each of the contents after the seed."""
    copy, keys = seed.copy, []
    for content in contents:
        digest = copy()
        digest.update(content)
        keys.append(digest.digest())
    return keys


def _raw(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
