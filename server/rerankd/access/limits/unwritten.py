"""Use that is counted in memory and not in the file yet, and what the file holds ahead of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from rerankd.access.limits.ledger import Charge, Row
from rerankd.access.limits.windows import Span, Window

_AHEAD: Final = 2.0
"""What the file holds ahead of the use of a budget, as a multiple of the use between two writes."""
_MOST_AHEAD: Final = 0.01
"""And at most, as a share of the budget."""


class _Used(NamedTuple):
    charge: Charge
    """Reserves nothing."""
    window: Window
    unwritten: float
    """Since the last write."""
    recent: float
    """Since the last regular write."""


class _Ahead(NamedTuple):
    charge: Charge
    window: Window
    period: int
    amount: float


class Unwritten:
    """Adds up what is to be written.

    The file holds the use of a budget before it happens, so that a process that is killed forgets no money: it leaves
    a little more than was spent. Use of the limits of a minute is written when it has happened.
    """

    def __init__(self) -> None:
        self._used: dict[str, _Used] = {}
        self._ahead: dict[str, _Ahead] = {}

    def add(self, charge: Charge, window: Window, used: float, now_s: float) -> bool:
        """Add what a call used; return whether the file holds less than was used of a budget, and is to be written.

        Args:
            charge: Of the meter.
            window: Of the charge.
            used: Above 0.
            now_s: Unix time.
        """
        name = charge.meter
        known = self._used.get(name) or _Used(charge._replace(amount=0.0), window, 0.0, 0.0)
        unwritten = known.unwritten + used
        self._used[name] = _Used(known.charge, window, unwritten, known.recent + used)
        return window.span is not Span.MINUTE and unwritten > self._ahead_in(name, window.period_at(now_s))

    def take(self, now_s: float, rows: Mapping[str, Row | None], *, ahead: bool = True) -> dict[Charge, float]:
        """Return what to add to the file, and take it to be added.

        Args:
            now_s: Unix time.
            rows: True use of every meter.
            ahead: Whether the file is to hold anything ahead.
        """
        changes: dict[Charge, float] = {}
        for name in self._used.keys() | self._ahead.keys():
            used = self._used.get(name) or _Used(self._ahead[name].charge, self._ahead[name].window, 0.0, 0.0)
            period = used.window.period_at(now_s)
            more = _most_ahead(used, rows.get(name)) if ahead else 0.0
            if change := used.unwritten - self._ahead_in(name, period) + more:
                changes[used.charge] = change
            self._ahead.pop(name, None)
            if more:
                self._ahead[name] = _Ahead(used.charge, used.window, period, more)
            self._used[name] = used._replace(unwritten=0.0)
        return changes

    def forget_recent(self) -> None:
        """Begin a new time between regular writes."""
        self._used = {name: used._replace(recent=0.0) for name, used in self._used.items() if used.unwritten}

    def without_ahead(self, name: str, row: Row | None) -> Row | None:
        """Return a row of the file without what it holds ahead."""
        ahead = self._ahead.get(name)
        if row is None or ahead is None or row[0] != ahead.period:
            return row
        return (row[0], max(row[1] - ahead.amount, 0.0), row[2])

    def _ahead_in(self, name: str, period: int) -> float:
        ahead = self._ahead.get(name)
        return ahead.amount if ahead is not None and ahead.period == period else 0.0


def _most_ahead(used: _Used, row: Row | None) -> float:
    if used.window.span is Span.MINUTE:
        return 0.0
    room = used.charge.limit - (row[1] if row is not None else 0.0)
    return max(min(_AHEAD * used.recent, _MOST_AHEAD * used.charge.limit, room), 0.0)
