"""Limits retries and hedges to a share of traffic, so that they cannot amplify an outage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class ExtraCallBudget:
    """A retry or hedge budget, as in Finagle and Envoy: every first attempt funds a share of an extra call."""

    share: float
    """Extra calls funded by each first attempt, 0 to 1."""
    burst: float
    """Initial and maximum balance, in extra calls."""
    per_s: float = 0.0
    """Extra calls that each second funds, so that little traffic is not left without any."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic, in seconds."""
    _left: float = field(init=False)
    _funded_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.burst
        self._funded_s = self.clock()

    def deposit(self) -> None:
        """Count a first attempt."""
        self._left = min(self._left + self.share, self.burst)

    def withdraw(self) -> bool:
        """Spend one extra call; `False` if the balance is below one."""
        if self._left < 1.0 and self.per_s > 0:
            now_s = self.clock()
            self._left = min(self._left + (now_s - self._funded_s) * self.per_s, max(self.per_s, 1.0))
            self._funded_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
