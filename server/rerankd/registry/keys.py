"""Keys of stored rerankers, made from their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

_MAX_MADE_CHARS: Final = 60
_UNNAMED: Final = "reranker"


def key_of_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """Make a key of a name: lower-case ASCII letters and digits with hyphens, numbered where it is taken.

    Args:
        name: Of any length and script.
        is_taken: Tells whether a key is in use.
    """
    ascii_name = unicodedata.normalize("NFKD", name[: 4 * _MAX_MADE_CHARS]).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:_MAX_MADE_CHARS].rstrip("-") or _UNNAMED
    key, number = base, 1
    while is_taken(key):
        number += 1
        key = f"{base}-{number}"
    return key
