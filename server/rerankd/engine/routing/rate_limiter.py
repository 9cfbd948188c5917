"""Limits the calls or tokens a minute of one deployment."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimiter:
    """Token bucket that refills evenly and holds one minute's worth, which may be used at once.

    Args:
        per_minute: Refilled in a minute, and held at most; at least 1.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._refilled_s = clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` can be taken, 0 when it can be now; an amount over the bucket's size needs it full."""
        self._refill()
        missing = min(amount, self._per_minute) - self._left
        return max(missing, 0.0) * 60.0 / self._per_minute

    def take(self, amount: float) -> None:
        """Take `amount`, negative to give it back; taking more than there is leaves a debt."""
        self._refill()
        self._left -= amount

    @property
    def used(self) -> float:
        """Share of the bucket that is used up, 0 to 1, and more when in debt."""
        self._refill()
        return 1.0 - self._left / self._per_minute

    def _refill(self) -> None:
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._refilled_s) * self._per_minute / 60.0, float(self._per_minute))
        self._refilled_s = now_s
