"""Suggestions for mistyped names, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_MISSPELT: Final = 0.75


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`, or `None` if none is similar."""
    matches = difflib.get_close_matches(name[:200], list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


_SHORT_FORMS: Final = {"docs": "documents", "doc": "documents", "q": "query"}
"""Common abbreviations of required fields, too short to be found by similarity."""


def clearly_meant(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is most likely a misspelling of, or `None`.

    The cutoff excludes other services' names that are merely similar, such as `truncate` for `truncation`.
    """
    known = list(known)
    if (meant := _SHORT_FORMS.get(name)) in known:
        return meant
    matches = difflib.get_close_matches(name[:50], known, n=1, cutoff=_MISSPELT)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return "; did you mean X?" for the closest known name, or an empty string."""
    match = closest(name, known)
    return f"; did you mean {prefix}{match}?" if match else ""
