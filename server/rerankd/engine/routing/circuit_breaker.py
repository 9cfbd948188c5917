"""When a deployment that fails is left alone, and how it comes back: one call probes it first."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from rerankd.engine.routing.settings import CooldownOptions
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
        self._probe: asyncio.Event | None = None
        self.cause: AdapterError | None = None
        """The last failure."""

    @property
    def is_cooling(self) -> bool:
        """Whether it is left alone: its time is not over, or the call that probes it is under way."""
        return self._length_s > 0 and (self._probe is not None or self._clock() < self._until_s)

    @property
    def is_probed(self) -> bool:
        """Whether the call that probes it is under way."""
        return self._probe is not None

    @property
    def is_suspect(self) -> bool:
        """Whether it failed last, so that the next call probes it."""
        return self._length_s > 0

    @property
    def remaining_s(self) -> float:
        """Seconds until it may be probed, 0 when it may be."""
        return max(self._until_s - self._clock(), 0.0)

    async def probe_over(self) -> None:
        """Return when no probe is under way."""
        if self._probe is not None:
            await self._probe.wait()

    def begin(self) -> bool:
        """Note that a call goes to it.

        Returns:
            Whether the call is the probe: the first after a cooldown. Whoever makes it says so when it ends.
        """
        if self._length_s == 0 or self.is_cooling:
            return False
        self._probe = asyncio.Event()
        return True

    def abandon(self, *, is_probe: bool = False) -> None:
        """Note that a call ended without telling anything of its health."""
        if is_probe:
            self._end_probe()

    def succeed(self) -> None:
        """Note an answer."""
        self._failures = 0
        self._length_s = 0.0
        self._end_probe()

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.set()
            self._probe = None

    def fail(self, cause: AdapterError, *, is_probe: bool = False) -> bool:
        """Note a failure; one that says when to come back starts a cooldown at once, of `max_s` at most.

        Calls that began before the cooldown and fail during it neither prolong it nor end its probe.

        Returns:
            Whether a cooldown starts.
        """
        started = self._note_failure(cause, is_probe=is_probe)
        if is_probe:
            self._end_probe()
        return started

    def _note_failure(self, cause: AdapterError, *, is_probe: bool) -> bool:
        options = self._options
        retry_after_s = cause.retry_after_s
        self.cause = cause
        self._failures += 1
        if options.failures == 0:
            return False
        if retry_after_s is None and not is_probe and self._failures < options.failures:
            return False
        if self._length_s > 0 and not is_probe:
            return False
        if retry_after_s is not None:
            self._length_s = min(max(retry_after_s, _SHORTEST_S), options.max_s)
            self._until_s = self._clock() + self._length_s
            return True
        self._length_s = min(self._length_s * 2 if is_probe else options.initial_s, options.max_s)
        self._until_s = self._clock() + self._length_s * (0.9 + 0.2 * self._jitter())
        return True
