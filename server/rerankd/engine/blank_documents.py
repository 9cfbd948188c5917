"""Blank documents: refused, or ranked last without being sent to a model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

_MOST_LISTED: Final = 10


class BlankDocuments(StrEnum):
    """What happens to documents without text, field or image."""

    REJECT = "reject"
    """The call is refused; the error lists them."""
    RANK_LAST = "rank_last"
    """They are ranked after all others, unscored, and never sent to a provider."""


def blank_warnings(blank_indices: Sequence[int], total: int) -> list[str]:
    """Return a warning that lists documents ranked last because they are blank; none without such documents.

    Args:
        blank_indices: Indices in the request, ascending.
        total: Number of documents of the request.
    """
    if not blank_indices:
        return []
    listed = ", ".join(map(str, blank_indices[:_MOST_LISTED]))
    more = ", ..." if len(blank_indices) > _MOST_LISTED else ""
    return [f"blank documents were ranked last, unscored: {len(blank_indices)} of {total}, at index {listed}{more}"]
