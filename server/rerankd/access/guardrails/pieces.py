"""Cuts long texts into pieces, so that reading one does not hold the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

PIECE_CHARS: Final = 8192
OVERLAP_CHARS: Final = 512
"""Of a piece with the one before, so that what stands at a cut is found."""
_MAX_WORD_CHARS: Final = 8192
"""A piece ends with a word unless that is longer."""


def pieces_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the pieces of a text, each with the position of its first character; cut between words."""
    start = 0
    while len(text) - start > PIECE_CHARS + _MAX_WORD_CHARS:
        end = _next_space(text, start + PIECE_CHARS)
        yield start, text[start:end]
        start = _next_space(text, end - OVERLAP_CHARS, end)
    yield start, text[start:]


def _next_space(text: str, position: int, at_most: int | None = None) -> int:
    """Return the position of the first space from `position` on; `at_most` if there is none before it."""
    last = position + _MAX_WORD_CHARS if at_most is None else at_most
    while position < last and not text[position].isspace():
        position += 1
    return position
