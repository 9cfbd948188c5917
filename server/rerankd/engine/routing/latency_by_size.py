"""High quantile of a deployment's latency in relation to the size of the call."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final

_QUANTILE: Final = 0.99
_SETTLED_CALLS: Final = 20
_REFRESH_CALLS: Final = 16
"""Calls between two computations of the quantile; a slower call than it is one more."""
_HALVED_CALLS: Final = 512
"""Counted calls at which all counts are halved, so that old calls are forgotten."""
_STEPS: Final = 44
"""Histogram steps, each a factor of the square root of 2: 1 ms to some 4,000 s."""
_STEP_ENDS_S: Final = [2.0 ** ((step + 1) / 2) / 1000.0 for step in range(_STEPS)]
_LOWER_ENDS_S: Final = _STEP_ENDS_S[:-1]


class LatencyBySize:
    """99th percentile of latency, estimated for each power of two of the size from a decaying histogram.

    An estimate is up to 1.42 times too high. A call costs some arithmetic operations.
    """

    def __init__(self) -> None:
        self._classes: dict[int, _Histogram] = {}
        self._count = 0

    @property
    def is_settled(self) -> bool:
        """Whether 20 calls were observed."""
        return self._count >= _SETTLED_CALLS

    def observe(self, size: int, latency_s: float) -> None:
        """Record an answered call of a size, as of `RoutedCall.size`."""
        self._count += 1
        number = size.bit_length()
        histogram = self._classes.get(number)
        if histogram is None:
            histogram = self._classes[number] = _Histogram()
        histogram.observe(latency_s)

    def high_s(self, size: int) -> float | None:
        """Return the 99th percentile for calls of a size, in seconds; `None` before the first call.

        For a size that was not observed: that of a larger one, or that of a smaller one times the ratio of the sizes,
        whichever is less.
        """
        number = size.bit_length()
        known = self._classes.get(number)
        if known is not None:
            return known.high_s
        return min(
            (each.high_s * 2.0 ** max(number - other, 0) for other, each in self._classes.items()),
            default=None,
        )


class _Histogram:
    """Counts of latencies by powers of the square root of 2."""

    __slots__ = ("_counts", "_total", "high_s")

    def __init__(self) -> None:
        self._counts = [0] * _STEPS
        self._total = 0
        self.high_s = 0.0
        """Upper end of the step that holds the 99th percentile."""

    def observe(self, latency_s: float) -> None:
        self._counts[bisect_right(_LOWER_ENDS_S, latency_s)] += 1
        self._total += 1
        if latency_s >= self.high_s or self._total % _REFRESH_CALLS == 0:
            self._refresh()

    def _refresh(self) -> None:
        below = list(accumulate(self._counts))
        self.high_s = _STEP_ENDS_S[bisect_left(below, math.ceil(self._total * _QUANTILE))]
        if self._total >= _HALVED_CALLS:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)
