"""Latency statistics of a deployment: peak EWMA and 95th percentile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_DECAY_S: Final = 10.0
"""Time constant of the moving average."""
_WINDOW_CALLS: Final = 256
"""Last calls from which the percentile is computed."""
_REFRESH_CALLS: Final = 16
"""Calls between two computations of the percentile."""
_MIN_CALLS: Final = 20
"""Calls needed for a percentile."""


class LatencyStats:
    """Latencies of one deployment, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._average_s = 0.0
        self._seen_s = clock()
        self._recent: deque[float] = deque(maxlen=_WINDOW_CALLS)
        self._count = 0
        self._p95_s: float | None = None

    @property
    def average_s(self) -> float:
        """Peak EWMA, as in Finagle: rises to a slower call at once, falls to faster ones exponentially.

        It also decays while there are no calls, so that a deployment that was slow is tried again.
        """
        return self._average_s * math.exp((self._seen_s - self._clock()) / _DECAY_S)

    @property
    def p95_s(self) -> float | None:
        """95th percentile of the last 256 calls; `None` before 20 calls."""
        return self._p95_s

    def observe(self, latency_s: float) -> None:
        """Record an answered call."""
        self.observe_slow(latency_s)
        self._recent.append(latency_s)
        self._count += 1
        if len(self._recent) >= _MIN_CALLS and (self._p95_s is None or self._count % _REFRESH_CALLS == 0):
            ordered = sorted(self._recent)
            self._p95_s = ordered[math.ceil(len(ordered) * 0.95) - 1]

    def observe_slow(self, latency_s: float) -> None:
        """Record a cancelled call, which would have taken at least `latency_s`; counts for the average only."""
        now_s = self._clock()
        keep = math.exp((self._seen_s - now_s) / _DECAY_S)
        self._average_s = max(latency_s, self._average_s * keep + latency_s * (1.0 - keep))
        self._seen_s = now_s
