"""Warnings as response headers, for dialects whose bodies have no field for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rerankd.contract.response_headers import printable
from rerankd.gateway.asgi import RawHeaders

WARNING: Final = b"x-api-warning"
"""Cohere's header of the kind; one warning each."""
_MOST: Final = 10
_MOST_CHARS: Final = 500


def as_headers(warnings: Sequence[str]) -> RawHeaders:
    """List at most 10 warnings, each of at most 500 characters, in printable ASCII."""
    return [(WARNING, printable(warning[:_MOST_CHARS]).encode("ascii")) for warning in warnings[:_MOST]]
