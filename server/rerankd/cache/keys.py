"""Names of scores: a hash of everything a score depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

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


def document_keys(scope: Scope, documents: Sequence[str | bytes]) -> list[bytes]:
    """Name the score of every document.

    The scope is hashed once; a document costs about a microsecond and its length. Inputs are told apart by their
    lengths and types, so that no two of them read the same: ("a", "bc") and ("ab", "c"), "a" and b"a" differ.

    Args:
        scope: What they are compared with, and by whom.
        documents: n texts, or bytes of other content.

    Returns:
        n keys of 16 bytes, in the order of the documents.
    """
    parts = (KEY_VERSION, scope.provider, scope.model, scope.revision, isinstance(scope.query, str), _raw(scope.query))
    seed = blake2b(_encode((*parts, scope.parameters)), digest_size=KEY_BYTES)
    text_seed, bytes_seed = seed.copy(), seed
    text_seed.update(_TEXT)
    bytes_seed.update(_BYTES)
    copy_text, copy_bytes = text_seed.copy, bytes_seed.copy
    keys = []
    for document in documents:
        if type(document) is str:
            digest = copy_text()
            digest.update(document.encode("utf-8", "surrogatepass"))
        else:
            digest = copy_bytes()
            digest.update(document)  # type: ignore[arg-type]
        keys.append(digest.digest())
    return keys


def _raw(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
