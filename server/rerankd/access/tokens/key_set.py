"""Public keys of an issuer (JSON Web Key Set, RFC 7517), by the algorithm they may verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_MAX_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8193)
"""Shorter keys can be broken; longer ones cost too much to verify with."""
_KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", ())),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
"""Type and curves of the keys of an algorithm."""


class KeySetError(Exception):
    """A document is no key set, or has no key that can be used; the text says which."""


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


class KeySet:
    """Keys by their id and the algorithm that each is bound to. Immutable.

    Args:
        document: The key set, JSON.
        algorithms: Algorithms that are allowed. Keys for others, keys for encryption, shared secrets, and keys that
            cannot be used are left out.

    Raises:
        KeySetError: No key is left.
    """

    def __init__(self, document: bytes, algorithms: Sequence[str]) -> None:
        try:
            keys = msgspec.json.decode(document, type=_Document).keys
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise KeySetError("its answer is no JSON Web Key Set") from None
        self._keys: dict[str, list[tuple[str, jwt.PyJWK]]] = {name: [] for name in algorithms}
        for key in keys[:_MAX_KEYS]:
            for name, found in self._keys.items():
                if (usable := _key_of(key, name)) is not None:
                    key_id = key.get("kid")
                    found.append((key_id if isinstance(key_id, str) else "", usable))
        if not any(self._keys.values()):
            raise KeySetError(f"it has no key for {', '.join(algorithms)}")

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token names.

        Args:
            key_id: Empty where the token names none; then the only key for the algorithm is it.
            algorithm: Of the token's signature.
        """
        keys = self._keys.get(algorithm, [])
        if not key_id:
            return keys[0][1] if len(keys) == 1 else None
        return next((key for name, key in keys if name == key_id), None)


def _key_of(key: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """Return a key bound to an algorithm; None if it is not for it or cannot be used."""
    kind, curves = _KINDS[algorithm]
    operations = key.get("key_ops", ["verify"])
    if (
        key.get("kty") != kind
        or (curves and key.get("crv") not in curves)
        or key.get("alg", algorithm) != algorithm
        or key.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or "d" in key
    ):
        return None
    try:
        found = jwt.PyJWK(key, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(found.key, RSAPublicKey) and found.key.key_size not in _RSA_BITS:
        return None
    return found
