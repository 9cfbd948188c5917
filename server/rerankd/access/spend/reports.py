"""What can be asked about spend, and the answer. Cheap to import: no database library."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import msgspec

DIMENSIONS: Final = ("day", "key_id", "group", "user", "model")
"""What sums can be grouped by."""
AMOUNTS: Final = ("calls", "documents", "tokens", "search_units", "cost_usd", "unpriced_calls")
"""What is summed."""

_FORMULA_SIGNS: Final = frozenset("=+-@\t\r")


class SpendQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which sums to report."""

    by: tuple[str, ...] = ()
    """Of `DIMENSIONS`, each once; empty: one sum of all. By `group`, a caller of several counts in each of them."""
    first_day: str
    """As in `2026-11-01`."""
    last_day: str
    """Included."""
    key_id: str | None = None
    """Only of this key, or of the caller with this identity; `None`: of all."""
    group: str | None = None
    """Only of this group; `None`: of all."""
    user: str | None = None
    """Only of this end user; `None`: of all."""
    model: str | None = None
    """Only of this model, by the name it answered with; `None`: of all."""


class SpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sum."""

    names: tuple[str, ...]
    """In the order of `SpendQuery.by`."""
    calls: int
    documents: int
    tokens: int
    search_units: int
    cost_usd: float
    unpriced_calls: int
    """Calls of which `cost_usd` lacks a part, because nobody knows the price."""


def period(first: str, last: str, today: date) -> tuple[str, str]:
    """Return the days of a report; default: from the first of this month until today.

    Args:
        first: First day, as in `2026-11-01`; empty for the default.
        last: Last day; empty for the default.
        today: In UTC.

    Raises:
        ValueError: Names the day that cannot be read, or says that the last day is before the first.
    """
    days = (_day_of(first, today.replace(day=1)), _day_of(last, today))
    if days[1] < days[0]:
        raise ValueError(f"the last day, {days[1]}, is before the first, {days[0]}")
    return days[0].isoformat(), days[1].isoformat()


def dimensions_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return what to group by; `key` is short for `key_id`.

    Raises:
        ValueError: Names what cannot be grouped by.
    """
    found = tuple(dict.fromkeys("key_id" if name == "key" else name for name in names))
    for name in found:
        if name not in DIMENSIONS:
            raise ValueError(f"{name[:50]!r} is nothing to group by; known are day, key, group, user and model")
    return found


def values_of(row: SpendRow) -> list[str | int | float]:
    """Return what a table or CSV shows of a row: its names, then `AMOUNTS`."""
    amounts = (row.calls, row.documents, row.tokens, row.search_units, row.cost_usd, row.unpriced_calls)
    return [*row.names, *amounts]


def csv_of(by: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> str:
    """Return rows, each as `values_of` makes it, as CSV with a line of headings.

    Callers choose names of users: one that a spreadsheet would take for a formula begins with an apostrophe here.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*by, *AMOUNTS])
    for row in rows:
        writer.writerow([f"'{each}" if isinstance(each, str) and each[:1] in _FORMULA_SIGNS else each for each in row])
    return text.getvalue()


def _day_of(text: str, default: date) -> date:
    if not text:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no day; write it as 2026-11-29") from None
