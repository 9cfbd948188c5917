"""Allowances that fill up again: retries as a share of traffic, calls and tokens a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class ShareBudget:
    """Permits extra calls as a share of ordinary ones, so that trouble cannot multiply traffic."""

    share: float
    """Permits that each ordinary call adds."""
    burst: float
    """Permits there are at first and at most."""
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.burst

    def deposit(self) -> None:
        """Count an ordinary call."""
        self._left = min(self._left + self.share, self.burst)

    def withdraw(self) -> bool:
        """Take a permit; `False` when there is none."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class MinuteRate:
    """An allowance a minute that comes back evenly; a full minute's worth may be used at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._seen_s = clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` can be taken, 0 when it can be now; an amount over the rate needs all of it."""
        self._refill()
        missing = min(amount, self._per_minute) - self._left
        return max(missing, 0.0) * 60.0 / self._per_minute

    def take(self, amount: float) -> None:
        """Use `amount`; what is taken beyond the allowance is owed."""
        self._refill()
        self._left -= amount

    @property
    def used(self) -> float:
        """Share of the allowance that is used up, 0 to 1 and more when it is owed."""
        self._refill()
        return 1.0 - self._left / self._per_minute

    def _refill(self) -> None:
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._seen_s) * self._per_minute / 60.0, float(self._per_minute))
        self._seen_s = now_s
