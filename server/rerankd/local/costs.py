"""What a token costs, learnt as the models run."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_WEIGHT = 0.15
"""Share of the newest run in the moving average."""
_HALF_LIFE_S = 2.0
"""In so long without a run half of what is above the best time seen is forgotten."""


class CostMeter:
    """Moving average of the time a token takes. Safe to use from any thread.

    A busy moment makes runs look dear. Were that kept, a budget into which no run seems to fit would never see one
    again, so without runs the estimate falls back towards the best average seen.

    Args:
        prior_ms: Milliseconds a token before anything has run.
        clock: Seconds that only grow.
    """

    def __init__(self, prior_ms: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._average_ms = prior_ms
        self._best_ms = prior_ms
        self._clock = clock
        self._seen_s = clock()
        self._is_prior = True
        self._lock = threading.Lock()

    @property
    def per_token_ms(self) -> float:
        """Milliseconds of wall time one worker needs for one token."""
        with self._lock:
            age_s = self._clock() - self._seen_s
            return self._best_ms + (self._average_ms - self._best_ms) * math.exp2(-age_s / _HALF_LIFE_S)

    def observe(self, tokens: int, elapsed_s: float) -> None:
        """Take in one run; short ones weigh less, their fixed part would mislead."""
        if tokens < 1:
            return
        weight = _WEIGHT * min(1.0, tokens / 32)
        with self._lock:
            self._average_ms += weight * (elapsed_s * 1000 / tokens - self._average_ms)
            self._best_ms = self._average_ms if self._is_prior else min(self._best_ms, self._average_ms)
            self._is_prior = False
            self._seen_s = self._clock()

    def estimate_s(self, tokens: int) -> float:
        """Guess the seconds one worker needs for a run of `tokens`."""
        return self.per_token_ms * tokens / 1000
