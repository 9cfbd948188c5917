"""What the HTTP listener does besides answering: compression and cross-origin calls."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", re.IGNORECASE)


class ListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the HTTP listener does besides answering."""

    allowed_origins: list[str] = msgspec.field(default_factory=list)
    """Whose pages may call from a browser, such as https://search.example.com; "*" for any, none by default."""
    compress_from_bytes: int = 1024
    """Answers this long are compressed for clients that accept gzip or zstd; 0 for never."""


def http_problems(options: ListenerSettings, path: str) -> list[str]:
    """Say what is wrong with the options found at `path`, one sentence each."""
    problems = [
        f"{path}.allowed_origins must be '*' or like https://host, without a path, has {origin!r}"
        for origin in options.allowed_origins
        if origin != "*" and not _ORIGIN.fullmatch(origin)
    ]
    if options.compress_from_bytes < 0:
        problems.append(f"{path}.compress_from_bytes must not be negative, is {options.compress_from_bytes}")
    return problems
