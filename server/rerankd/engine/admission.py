"""Admission control: bounds the calls in flight, and the share of them that one provider may hold."""

from __future__ import annotations

import math
from typing import Final

from rerankd.contract.errors import Reason, ServiceError

_RETRY_AFTER_S: Final = 1.0
_ROUNDING: Final = 1e-6
"""Exceeds the rounding error of a number of slots."""


class Admission:
    """Refuses calls beyond a number of calls in flight. For one event loop.

    A provider may hold at most a share of what the calls to others leave free, so one that hangs fills that share and
    no more, and a second one that hangs fills its share of the rest: slots stay free for everybody else.

    Args:
        max_concurrent_calls: Calls in flight, at least 1.
        max_provider_share: Share of the slots that calls to one provider may hold while nobody else holds any, above
            0 to 1; 1 does not limit it.
    """

    def __init__(self, max_concurrent_calls: int, max_provider_share: float = 1.0) -> None:
        self._limit = max_concurrent_calls
        is_limited = max_provider_share < 1
        self._held_per_free = max_provider_share / (1 - max_provider_share) if is_limited else math.inf
        self._in_flight = 0
        self._held: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        """Admitted calls that have not left."""
        return self._in_flight

    def held_by(self, provider: str) -> int:
        """Return the number of admitted calls to a provider."""
        return self._held.get(provider, 0)

    def enter(self) -> None:
        """Admit a call; every admitted call must `leave`.

        Raises:
            ServiceError: `OVERLOADED` at the limit.
        """
        if self._in_flight >= self._limit:
            raise self._overloaded(
                f"{self._in_flight} calls are in flight, as many as this server accepts",
                {"limit": "max_concurrent_calls", "max_concurrent_calls": str(self._limit)},
            )
        self._in_flight += 1

    def leave(self) -> None:
        """End an admitted call."""
        self._in_flight -= 1

    def check(self, provider: str) -> None:
        """Check that a provider may hold the slot of an admitted call.

        Raises:
            ServiceError: `OVERLOADED` if it holds its share.
        """
        held = self._held.get(provider)
        if held and held >= self._held_per_free * (self._limit - self._in_flight + 1) - _ROUNDING:
            raise self._overloaded(
                f"{held} calls to {provider} are in flight, its share of the {self._limit} that this server accepts",
                {"limit": "max_provider_share", "provider": provider, "max_concurrent_calls": str(self._limit)},
            )

    def hold(self, provider: str) -> None:
        """Hold the slot of an admitted call for a provider, until `release`.

        Raises:
            ServiceError: As `check`.
        """
        self.check(provider)
        self._held[provider] = self._held.get(provider, 0) + 1

    def release(self, provider: str) -> None:
        """Release a slot that is held."""
        left = self._held[provider] - 1
        if left:
            self._held[provider] = left
        else:
            del self._held[provider]

    @staticmethod
    def _overloaded(cause: str, metadata: dict[str, str]) -> ServiceError:
        return ServiceError(
            Reason.OVERLOADED, f"{cause}; try again shortly", metadata=metadata, retry_after_s=_RETRY_AFTER_S
        )
