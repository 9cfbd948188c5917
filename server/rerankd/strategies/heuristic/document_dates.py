"""Reads the dates of documents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rerankd.contract.messages import Document

_LONGEST: Final = 64
"""Characters of a date; longer texts are none."""
_LEAST_MS: Final = 1e11
"""Numbers from here are milliseconds: as seconds they are beyond the year 5000, as milliseconds after 1973."""
_MOST_MS: Final = 1e15


def date_of(document: str | Document, field: str) -> float | None:
    """Return the date in a document's metadata, or else in its fields, in seconds since 1970; `None` without one.

    Args:
        document: Of the request.
        field: Key of the date.
    """
    if isinstance(document, str):
        return None
    value = _value(document.metadata, field)
    return _seconds(_value(document.fields, field) if value is None else value)


def _value(values: Mapping[str, Any] | None, field: str) -> Any:
    return None if values is None else values.get(field)


def _seconds(value: Any) -> float | None:
    """Read ISO 8601, or a number of seconds or milliseconds; a time without a zone is UTC."""
    if isinstance(value, str) and len(value) <= _LONGEST:
        try:
            found = datetime.fromisoformat(value.strip())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if abs(value) < _LEAST_MS:
        return float(value)
    return value / 1000 if abs(value) <= _MOST_MS else None
