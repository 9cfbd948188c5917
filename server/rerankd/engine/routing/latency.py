"""How long a deployment's calls take: a moving average that follows rises at once, and the 95th percentile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_DECAY_S: Final = 10.0
"""Time constant with which an old peak is forgotten."""
_KEPT: Final = 256
"""Calls the percentile is taken of."""
_REFRESH: Final = 16
"""Calls after which the percentile is computed anew."""
_ENOUGH: Final = 20
"""Calls below which there is no percentile."""


class LatencyStats:
    """Latencies of one deployment, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._average_s = 0.0
        self._seen_s = clock()
        self._recent: deque[float] = deque(maxlen=_KEPT)
        self._count = 0
        self._p95_s: float | None = None

    @property
    def average_s(self) -> float:
        """Peak-sensitive moving average: a slower call counts in full at once, a faster one by and by.

        It sinks while there are no calls, so that a deployment that was slow once is tried again.
        """
        return self._average_s * math.exp((self._seen_s - self._clock()) / _DECAY_S)

    @property
    def p95_s(self) -> float | None:
        """95th percentile of the last calls; `None` before there are enough of them."""
        return self._p95_s

    def observe(self, latency_s: float) -> None:
        """Count an answered call."""
        self.observe_slow(latency_s)
        self._recent.append(latency_s)
        self._count += 1
        if len(self._recent) >= _ENOUGH and (self._p95_s is None or self._count % _REFRESH == 0):
            ordered = sorted(self._recent)
            self._p95_s = ordered[math.ceil(len(ordered) * 0.95) - 1]

    def observe_slow(self, latency_s: float) -> None:
        """Count a call that was given up: it would have taken at least this long."""
        now_s = self._clock()
        keep = math.exp((self._seen_s - now_s) / _DECAY_S)
        self._average_s = max(latency_s, self._average_s * keep + latency_s * (1.0 - keep))
        self._seen_s = now_s
