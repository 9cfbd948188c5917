"""Limits the requests or tokens per minute of one deployment."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimiter:
    """Token bucket of one minute's capacity, refilled continuously.

    Args:
        per_minute: Refill per minute, and capacity; at least 1.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._refilled_s = clock()

    def wait_s(self, amount: float) -> float:
        """Return the seconds until `amount` is available, 0 if it is; more than the capacity needs a full bucket."""
        self._refill()
        missing = min(amount, self._per_minute) - self._left
        return max(missing, 0.0) * 60.0 / self._per_minute

    def take(self, amount: float) -> None:
        """Take `amount`; a negative one is given back. The level may become negative."""
        self._refill()
        self._left -= amount

    @property
    def utilisation(self) -> float:
        """Used share of the capacity, 0 to 1; above 1 if the level is negative."""
        self._refill()
        return 1.0 - self._left / self._per_minute

    def _refill(self) -> None:
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._refilled_s) * self._per_minute / 60.0, float(self._per_minute))
        self._refilled_s = now_s
