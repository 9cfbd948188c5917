"""Windows of time in which limits and budgets count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

_EPOCH_WEEKDAY_DAYS: Final = 3
"""1970-01-01 was a Thursday; weeks start on Monday."""
_DAY_S: Final = 86_400.0


class Span(StrEnum):
    """Length of a window."""

    MINUTE = "minute"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def rolling_s(self) -> float:
        """Length of a rolling window in seconds; a month has 30 days."""
        return _ROLLING_S[self]


_ROLLING_S: Final = {Span.MINUTE: 60.0, Span.DAY: _DAY_S, Span.WEEK: 7 * _DAY_S, Span.MONTH: 30 * _DAY_S}


@dataclass(frozen=True, slots=True)
class Window:
    """A window of time. Time is divided into numbered periods, and a meter counts in the current and the one before.

    A calendar window is the current period in UTC. A rolling one ends now: it holds the current period, and as much of
    the one before as reaches into it, taken as evenly used. So two numbers describe a window of any length; from rest,
    a burst is admitted up to the limit exactly.
    """

    span: Span
    is_calendar: bool = False
    length_s: float = field(init=False, compare=False)
    """Length of a rolling window."""
    _recent: tuple[float, float, int] = field(default=(0.0, 0.0, 0), init=False, compare=False, repr=False)
    """From when to when a period was found to be the current one, and its number."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "length_s", self.span.rolling_s)

    def period_at(self, now_s: float) -> int:
        """Return the number of the period of a Unix time."""
        since_s, until_s, period = self._recent
        if since_s <= now_s < until_s:
            return period
        period = self._period_at(now_s)
        object.__setattr__(self, "_recent", (now_s, now_s + self.remaining_s(now_s), period))
        return period

    def _period_at(self, now_s: float) -> int:
        if not self.is_calendar or self.span is Span.MINUTE:
            return int(now_s // self.length_s)
        days = int(now_s // _DAY_S)
        if self.span is Span.DAY:
            return days
        if self.span is Span.WEEK:
            return (days + _EPOCH_WEEKDAY_DAYS) // 7
        date = datetime.fromtimestamp(now_s, UTC)
        return date.year * 12 + date.month - 1

    def remaining_s(self, now_s: float) -> float:
        """Return the seconds until the next period, above 0."""
        if self.is_calendar and self.span is Span.MONTH:
            date = datetime.fromtimestamp(now_s, UTC)
            year, month = divmod(date.year * 12 + date.month, 12)
            return datetime(year, month + 1, 1, tzinfo=UTC).timestamp() - now_s
        if not self.is_calendar:
            return self.length_s - now_s % self.length_s
        shift_s = _EPOCH_WEEKDAY_DAYS * _DAY_S if self.span is Span.WEEK else 0.0
        return self.length_s - (now_s + shift_s) % self.length_s

    def expiry_s(self, now_s: float) -> float:
        """Return the Unix time after which use at `now_s` counts in no window any more."""
        return now_s + 2 * self.length_s + _DAY_S * (self.span is Span.MONTH)

    def weight_before(self, now_s: float) -> float:
        """Return the share of the period before that still counts, 0 to 1."""
        return 0.0 if self.is_calendar else self.remaining_s(now_s) / self.length_s


MINUTE: Final = Window(Span.MINUTE)
"""Window of limits of calls, documents and tokens."""
