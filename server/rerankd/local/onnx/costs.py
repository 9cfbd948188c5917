"""Estimated run time per token, measured as the models run."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_WEIGHT = 0.15
"""Weight of the newest run in the moving average."""
_HALF_LIFE_S = 2.0
"""Half-life of the excess over the best average while nothing runs."""


class CostMeter:
    """Moving average of run time per token. Safe to use from any thread.

    While nothing runs the estimate decays towards the best average seen. Otherwise, after a busy moment, no run would
    seem to fit a budget, none would be started, and the estimate would never recover.

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
        """Record one run. Runs below 32 tokens weigh less: fixed costs dominate them."""
        if tokens < 1:
            return
        weight = _WEIGHT * min(1.0, tokens / 32)
        with self._lock:
            self._average_ms += weight * (elapsed_s * 1000 / tokens - self._average_ms)
            self._best_ms = self._average_ms if self._is_prior else min(self._best_ms, self._average_ms)
            self._is_prior = False
            self._seen_s = self._clock()

    def estimate_s(self, tokens: int) -> float:
        """Estimate the seconds one worker needs for a run of `tokens`."""
        return self.per_token_ms * tokens / 1000
