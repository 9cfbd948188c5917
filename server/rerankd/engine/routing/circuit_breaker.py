"""Circuit breaker of one deployment: closed, open for a cooldown, half-open while one call probes it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from rerankd.engine.routing.settings import CircuitBreakerSettings
from rerankd_adapters.base import AdapterError

_MIN_COOLDOWN_S: Final = 0.05
"""Shortest cooldown, for a `Retry-After` of 0."""


class CircuitBreaker:
    """Circuit breaker with a half-open state in which one call probes the deployment. For one event loop.

    Args:
        options: Consecutive failures that open it, and the length of cooldowns.
        clock: Monotonic clock, in seconds.
        jitter: Returns a random number, 0 to 1; cooldowns are multiplied by 0.9 to 1.1.
    """

    def __init__(
        self,
        options: CircuitBreakerSettings,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._length_s = 0.0
        self._until_s = 0.0
        self._probe: asyncio.Event | None = None
        self._is_suspended = False
        self.last_failure: AdapterError | None = None
        """The last failure; `None` before the first."""

    @property
    def is_open(self) -> bool:
        """Whether the deployment is skipped: during the cooldown and while the probe is in flight."""
        return self._length_s > 0 and (self._probe is not None or self._clock() < self._until_s)

    @property
    def is_half_open(self) -> bool:
        """Whether the probe is in flight."""
        return self._probe is not None

    @property
    def is_tripped(self) -> bool:
        """Whether it is not closed: open, or half-open, in which case the next call is the probe."""
        return self._length_s > 0

    @property
    def remaining_s(self) -> float:
        """Seconds left of the cooldown; 0 after it."""
        return max(self._until_s - self._clock(), 0.0)

    async def wait_for_probe(self) -> None:
        """Wait until no probe is in flight."""
        if self._probe is not None:
            await self._probe.wait()

    def begin(self) -> bool:
        """Record that a call is sent.

        Returns:
            Whether the call is the probe, the first after a cooldown; pass it to `fail` or `abandon`.
        """
        if self._length_s == 0 or self.is_open:
            return False
        self._probe = asyncio.Event()
        return True

    def abandon(self, *, is_probe: bool = False) -> None:
        """Record a call whose outcome does not count, such as a cancelled one."""
        if is_probe:
            self._end_probe()

    def succeed(self) -> None:
        """Record a reply; closes the circuit, but for one that is suspended."""
        self._failures = 0
        if not self._is_suspended or self._clock() >= self._until_s:
            self._length_s = 0.0
            self._is_suspended = False
        self._end_probe()

    def suspend(self, cause: AdapterError, seconds: float) -> None:
        """Open the circuit for a time, whatever replies come in it; then one call probes the deployment."""
        self.last_failure = cause
        self._is_suspended = True
        self._length_s = seconds
        self._until_s = self._clock() + seconds

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.set()
            self._probe = None

    def fail(self, cause: AdapterError, *, is_probe: bool = False) -> bool:
        """Record a failure; one with `Retry-After` opens the circuit at once, for at most `max_s`.

        Failures of calls sent before the cooldown neither extend it nor end the probe.

        Returns:
            Whether a cooldown starts.
        """
        started = self._trip(cause, is_probe=is_probe)
        if is_probe:
            self._end_probe()
        return started

    def _trip(self, cause: AdapterError, *, is_probe: bool) -> bool:
        options = self._options
        retry_after_s = cause.retry_after_s
        self.last_failure = cause
        self._failures += 1
        if options.failures == 0:
            return False
        if retry_after_s is None and not is_probe and self._failures < options.failures:
            return False
        if self._length_s > 0 and not is_probe:
            return False
        if retry_after_s is not None:
            self._length_s = min(max(retry_after_s, _MIN_COOLDOWN_S), options.max_s)
            self._until_s = self._clock() + self._length_s
            return True
        self._length_s = min(self._length_s * 2 if is_probe else options.initial_s, options.max_s)
        self._until_s = self._clock() + self._length_s * (0.9 + 0.2 * self._jitter())
        return True
