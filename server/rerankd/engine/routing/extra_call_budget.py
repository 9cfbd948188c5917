"""Bounds retries and hedges to a share of traffic, so that trouble cannot multiply it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ExtraCallBudget:
    """A retry or hedge budget, as in Finagle and Envoy: ordinary calls fund extra ones."""

    share: float
    """Extra calls that each ordinary call funds, 0 to 1."""
    burst: float
    """Extra calls funded at first, and at most."""
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.burst

    def deposit(self) -> None:
        """Count an ordinary call."""
        self._left = min(self._left + self.share, self.burst)

    def withdraw(self) -> bool:
        """Spend one extra call; `False` when none is funded."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
