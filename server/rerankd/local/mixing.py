"""Combining scores of several stages; pure Python, so that it runs where numpy is not installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


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
    return [sum(weight * values[place] for weight, values in scaled) for place in range(count)]


def layer(count: int, stages: Sequence[Mapping[int, float]]) -> list[float]:
    """Put the scores of successive stages into one space, 0 to 1, that keeps every order.

    A document's place is decided by the last stage that scored it: documents of a later stage lie above those that
    only earlier stages saw, and inside a stage its scores decide. The last stage present has the upper half, the one
    before it the upper half of the rest, and so on; the first one present reaches down to 0.

    Args:
        count: Documents.
        stages: Score by position for each stage, first stage first; scores in any finite range. Positions that no
            stage scored get 0.

    Returns:
        One score a document.
    """
    last_stage = {position: number for number, stage in enumerate(stages) for position in stage}
    groups: list[tuple[list[int], list[float]]] = []
    for number, stage in enumerate(stages):
        positions = [position for position in stage if last_stage[position] == number]
        if positions:
            groups.append((positions, scale([stage[position] for position in positions])))
    scores = [0.0] * count
    # Only documents that no stage scored get 0.
    floor = 0.01 if groups and len(last_stage) < count else 0.0
    ceiling = 1.0
    for place in range(len(groups) - 1, -1, -1):
        low = (ceiling + floor) / 2 if place else floor
        positions, scaled = groups[place]
        if max(scaled) == 0:
            # All equal: each is the best of its stage.
            scaled = [1.0] * len(scaled)
        for position, value in zip(positions, scaled, strict=True):
            scores[position] = low + (ceiling - low) * value
        ceiling = low - (low - floor) * 0.02
    return scores
