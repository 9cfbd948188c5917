"""Ranks documents by score: normalisation, order, threshold, top_n."""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import repeat
from operator import add
from typing import Final, NamedTuple

from rerankd_adapters.base import ScoreSpace
from rerankd_adapters.scores import sigmoid


class Ranking(NamedTuple):
    """Documents, best first; ties ordered by index."""

    indices: list[int]
    """Indices in the request."""
    scores: list[float]
    """Relevance score of each of `indices`."""


class Normalisation(StrEnum):
    """Normalisation of the scores of one response."""

    NONE = "none"
    """Scores as the model returned them."""
    MINMAX = "minmax"
    """Scaled linearly, worst document 0, best 1. Comparable within one response only."""
    SIGMOID = "sigmoid"
    """Logistic function: logits to probabilities, 0 to 1. For logits only."""


NORMALISED_SPACES: Final = {
    Normalisation.MINMAX: ScoreSpace.RELATIVE,
    Normalisation.SIGMOID: ScoreSpace.PROBABILITY,
}
"""What scores are after a normalisation; without one they stay what they are."""


_FLOORS: Final = {ScoreSpace.PROBABILITY: 0.0, ScoreSpace.RELATIVE: 0.0, ScoreSpace.COSINE: -1.0}
"""Lower ends of score spaces; their upper end is 1."""


def normalise(scores: Sequence[float], mode: Normalisation) -> Sequence[float]:
    """Map the scores of one response to 0..1, preserving their order and ties exactly.

    Different scores that would be rounded to the same number, such as the probabilities of the logits 40 and 41, are
    separated by the smallest difference of floats.

    Args:
        scores: n finite numbers, n >= 0, of all documents.
        mode: `MINMAX` maps scores that are all equal to 1.0.

    Returns:
        n numbers, in the order of `scores`.
    """
    if mode is Normalisation.NONE or not scores:
        return scores
    levels = sorted(set(scores))
    mapped = [sigmoid(level) for level in levels] if mode is Normalisation.SIGMOID else _scale(levels)
    return [*map(dict(zip(levels, _separate(mapped), strict=True)).__getitem__, scores)]


def _scale(levels: list[float]) -> list[float]:
    lowest, highest = levels[0], levels[-1]
    if lowest == highest:
        return [1.0]
    # The difference of two large numbers of opposite sign overflows; half of it does not.
    scale = 1.0 if math.isfinite(highest - lowest) else 0.5
    width = highest * scale - lowest * scale
    return [(level * scale - lowest * scale) / width for level in levels]


def _separate(mapped: list[float], ceiling: float = 1.0) -> list[float]:
    """Make an ascending list of numbers, none above `ceiling`, strictly ascending."""
    for position in range(1, len(mapped)):
        mapped[position] = max(mapped[position], math.nextafter(mapped[position - 1], math.inf))
    for position in range(len(mapped) - 1, -1, -1):
        if mapped[position] <= ceiling:
            break
        mapped[position] = ceiling
        ceiling = math.nextafter(ceiling, -math.inf)
    return mapped


def place_below(scores: Sequence[float], count: int, space: ScoreSpace) -> tuple[list[float], list[float]]:
    """Make numbers for documents that are ordered behind all of those that have a score.

    They are spread evenly between the lowest score and the lower end of the score space (one below the score, or twice
    its distance from 0, where that has none), so that all are different, below every score, and within the space. Where
    there is no room, as below a probability of 0, the lowest scores are raised by the smallest differences of floats.

    Args:
        scores: n finite numbers, n >= 1.
        count: Numbers to make.
        space: What the scores are.

    Returns:
        The scores, and `count` numbers in descending order.
    """
    if not count:
        return list(scores), []
    levels = sorted(set(scores))
    lowest = levels[0]
    floor = _FLOORS.get(space, lowest - max(1.0, abs(lowest)))
    floor = max(min(floor, lowest), -sys.float_info.max)
    room = lowest - floor
    below = [floor + room * ((number + 1) / (count + 1)) for number in range(count)]
    ceiling = max(1.0, levels[-1]) if space in _FLOORS else sys.float_info.max
    ascending = _separate([*below, *levels], ceiling)
    mapped = dict(zip(levels, ascending[count:], strict=True))
    return [mapped[score] for score in scores], ascending[:count][::-1]


def rank(
    indices: Sequence[int],
    scores: Sequence[float],
    top_n: int | None,
    threshold: float | None,
    blank_indices: Sequence[int] = (),
) -> Ranking:
    """Order by (-score, index), drop scores below `threshold`, keep the first `top_n`.

    Args:
        indices: n indices, n >= 0, without duplicates.
        scores: n finite numbers, already normalised.
        top_n: At least 1, or `None` for all.
        threshold: Lowest score that is kept; `None` keeps all.
        blank_indices: Documents that were not scored, ascending; ranked last, with the lowest score or 0 if that is
            lower.
    """
    # Adding 0.0 turns -0.0 into 0.0 and integers into floats, so that equal scores are serialised equally.
    score_of = dict(zip(indices, map(add, scores, repeat(0.0)), strict=True)).__getitem__
    by_index = sorted(indices)
    if threshold is not None:
        by_index = [index for index in by_index if score_of(index) >= threshold]
    if top_n is not None and top_n * 8 < len(by_index):
        ranked = heapq.nlargest(top_n, by_index, key=score_of)
    else:
        ranked = sorted(by_index, key=score_of, reverse=True)[:top_n]  # stable: ties stay ordered by index
    kept = list(map(score_of, ranked))
    if blank_indices:
        worst = min(0.0, *scores) if scores else 0.0
        if threshold is None or worst >= threshold:
            ranked += blank_indices[: None if top_n is None else top_n - len(ranked)]
            kept += [worst] * (len(ranked) - len(kept))
    return Ranking(ranked, kept)
