"""Texts that must be found in nothing a server says of itself: the keys it uses, and the documents it is sent."""

from __future__ import annotations

from typing import Final

CANARY_SECRET: Final = "canary-secret-5d41402abc4b2a76"
"""Part of every key, token and password of the tests' servers."""
CANARY_DOCUMENT: Final = "canary-document-0cc175b9c0f1"
"""Part of documents and queries of the tests' calls."""
