"""Combining scores of one request; pure Python, so that it runs where numpy is not installed."""

from __future__ import annotations

import math
from collections.abc import Sequence


def scale(values: Sequence[float]) -> list[float]:
    """Map values linearly so that the least is 0 and the greatest 1; all 0 when they are equal or not finite."""
    if not values:
        return []
    least, greatest = min(values), max(values)
    reach = greatest - least
    if not math.isfinite(reach) or reach <= 1e-12:
        return [0.0] * len(values)
    return [(value - least) / reach for value in values]


def blend(parts: Sequence[tuple[float, Sequence[float]]]) -> list[float]:
    """Add score lists of equal length, each scaled to 0..1 and weighted; weights add up to 1."""
    scaled = [(weight, scale(values)) for weight, values in parts]
    count = len(scaled[0][1])
    return [sum(weight * values[position] for weight, values in scaled) for position in range(count)]
