"""Names of scores: a hash of everything a score depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import repeat
from typing import Any, TypeGuard

import msgspec

KEY_VERSION = 1
"""Raised when the same inputs get other keys or scores get another meaning; old entries are never read again."""
KEY_BYTES = 16

_TEXT, _BYTES = b"t", b"b"
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Scope:
    """What the scores of one call depend on beside the documents."""

    provider: str
    model: str
    """The provider's name of the model."""
    query: str | bytes
    """Text, or the bytes of any other content."""
    revision: str = ""
    """Which weights of the model, where that is known."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What else changes scores, such as truncation or an instruction; JSON values, their keys in any order."""


class Naming:
    """Names the scores of one scope, which is hashed once.

    Inputs are told apart by their lengths and types, so that no two of them read the same: ("a", "bc") and ("ab", "c"),
    "a" and b"a" differ.

    Args:
        scope: What documents are compared with, and by whom.
    """

    __slots__ = ("_bytes_seed", "_text_seed", "shard")

    def __init__(self, scope: Scope) -> None:
        query = scope.query
        parts = (KEY_VERSION, scope.provider, scope.model, scope.revision, isinstance(query, str), _raw(query))
        seed = blake2b(_encode((*parts, scope.parameters)), digest_size=KEY_BYTES)
        self.shard = seed.digest()[0]
        """0 to 255, the same for all pairs of the scope."""
        self._text_seed, self._bytes_seed = seed.copy(), seed
        self._text_seed.update(_TEXT)
        self._bytes_seed.update(_BYTES)

    def keys(self, documents: Sequence[str | bytes]) -> list[bytes]:
        """Name the score of every document, which costs about a microsecond and its length.

        Args:
            documents: n texts, or bytes of other content.

        Returns:
            n keys of 16 bytes, in the order of the documents.
        """
        if not _are_texts(documents):
            return [key for document in documents for key in _digests(self._seed(document), [_raw(document)])]
        return _digests(self._text_seed, map(str.encode, documents, repeat("utf-8"), repeat("surrogatepass")))

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
