"""Tells tokens from API keys. Imports no library."""

from __future__ import annotations

from typing import Final

MAX_CHARS: Final = 16_384
"""Longest token that is read; gRPC takes no more metadata in one call."""
_BEGINNING: Final = "eyJ"
"""Base64 of `{"`, with which the header of a token begins."""


def is_token(credential: str) -> bool:
    """Tell whether a credential has the form of a signed JSON Web Token: three parts, the first an object in Base64."""
    return credential.startswith(_BEGINNING) and credential.count(".") == 2
