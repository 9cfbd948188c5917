"""Suggestions for mistyped names, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`, or `None` if none is similar."""
    matches = difflib.get_close_matches(name[:200], list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return "; did you mean X?" for the closest known name, or an empty string."""
    match = closest(name, known)
    return f"; did you mean {prefix}{match}?" if match else ""
