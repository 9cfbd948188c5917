"""Means over queries, with confidence intervals of 95 % from resampled queries (bootstrap, seeded)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.engine.time_slice import TimeSlice

CONFIDENCE: Final = 0.95
_MOST_RESAMPLES: Final = 2000
_LEAST_RESAMPLES: Final = 400
_MOST_DRAWS: Final = 2_000_000
"""Half a second of one core. Beyond, there are fewer resamples: the more queries, the steadier the interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries and its confidence interval of 95 %."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out, so that a difference is beyond noise."""
        return self.low > 0 or self.high < 0


def bootstrap(values: Sequence[float]) -> Interval:
    """Return the mean of one value a query with its interval; equal values give equal intervals.

    Args:
        values: n values, n >= 1; paired differences for the interval of a difference.
    """
    return _interval(values, list(_resampled_means(values)))


async def bootstrap_in_slices(values: Sequence[float]) -> Interval:
    """Return the same as `bootstrap`; the event loop is yielded every millisecond."""
    means = []
    part = TimeSlice()
    for mean in _resampled_means(values):
        means.append(mean)
        if part.is_over():
            await part.rest()
    return _interval(values, means)


def _resampled_means(values: Sequence[float]) -> Iterator[float]:
    source = random.Random(0)  # noqa: S311 - statistics, no secret
    count = len(values)
    for _ in range(max(_LEAST_RESAMPLES, min(_MOST_RESAMPLES, _MOST_DRAWS // count))):
        yield math.fsum(source.choices(values, k=count)) / count


def _interval(values: Sequence[float], means: list[float]) -> Interval:
    means.sort()
    outside = round((1 - CONFIDENCE) / 2 * len(means))
    return Interval(math.fsum(values) / len(values), means[outside], means[-1 - outside])
