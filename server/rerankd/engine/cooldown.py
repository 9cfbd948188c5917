"""When a deployment that fails is left alone, and how it comes back: one call probes it first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from rerankd.engine.options import CooldownOptions
from rerankd_adapters.base import AdapterError

_SHORTEST_S: Final = 0.05
"""Cooldown where a provider asks to be called again at once."""


class Cooldown:
    """Health of one deployment: healthy, cooling down, or being probed."""

    def __init__(
        self,
        options: CooldownOptions,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._length_s = 0.0
        self._until_s = 0.0
        self._is_probed = False
        self.cause: AdapterError | None = None
        """The last failure."""

    @property
    def is_cooling(self) -> bool:
        """Whether it is left alone: its time is not over, or the call that probes it is under way."""
        return self._length_s > 0 and (self._is_probed or self._clock() < self._until_s)

    @property
    def is_suspect(self) -> bool:
        """Whether it failed last, so that the next call probes it."""
        return self._length_s > 0

    @property
    def remaining_s(self) -> float:
        """Seconds until it may be probed, 0 when it may be."""
        return max(self._until_s - self._clock(), 0.0)

    def begin(self) -> None:
        """Note that a call goes to it; the first after a cooldown is its probe."""
        if self._length_s > 0:
            self._is_probed = True

    def abandon(self) -> None:
        """Note that a call ended without telling anything of its health."""
        self._is_probed = False

    def succeed(self) -> None:
        """Note an answer."""
        self._failures = 0
        self._length_s = 0.0
        self._is_probed = False

    def fail(self, cause: AdapterError) -> bool:
        """Note a failure; one that says when to come back starts a cooldown at once, of `max_s` at most.

        Returns:
            Whether a cooldown starts.
        """
        options = self._options
        retry_after_s = cause.retry_after_s
        self.cause = cause
        self._failures += 1
        was_probed, self._is_probed = self._is_probed, False
        if options.failures == 0:
            return False
        if retry_after_s is None and not was_probed and self._failures < options.failures:
            return False
        if self._length_s > 0 and not was_probed:
            return False
        if retry_after_s is not None:
            self._length_s = min(max(retry_after_s, _SHORTEST_S), options.max_s)
            self._until_s = self._clock() + self._length_s
            return True
        self._length_s = min(self._length_s * 2 if was_probed else options.initial_s, options.max_s)
        self._until_s = self._clock() + self._length_s * (0.9 + 0.2 * self._jitter())
        return True
