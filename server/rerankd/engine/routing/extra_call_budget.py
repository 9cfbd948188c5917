"""Limits retries and hedges to a share of traffic, so that they cannot amplify an outage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ExtraCallBudget:
    """A retry or hedge budget, as in Finagle and Envoy: every first attempt funds a share of an extra call."""

    share: float
    """Extra calls funded by each first attempt, 0 to 1."""
    burst: float
    """Initial and maximum balance, in extra calls."""
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.burst

    def deposit(self) -> None:
        """Count a first attempt."""
        self._left = min(self._left + self.share, self.burst)

    def withdraw(self) -> bool:
        """Spend one extra call; `False` if the balance is below one."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
