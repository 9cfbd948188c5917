"""From the scores of a request's documents to the caller's ranking: normalise, sort, cut."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import repeat
from operator import add
from typing import NamedTuple

from rerankd_adapters.scores import sigmoid


class Ranking(NamedTuple):
    """Documents, best first, and equal ones by index."""

    indices: list[int]
    """Positions in the request."""
    scores: list[float]
    """Relevance score of each."""


class Normalisation(StrEnum):
    """What is made of the scores of one response."""

    NONE = "none"
    """They stay as the model gave them."""
    MINMAX = "minmax"
    """Spread over 0 to 1: the worst document 0, the best 1. Comparable within the response only."""
    SIGMOID = "sigmoid"
    """The probability of a logit, 0 to 1. Makes sense for logits alone."""


def normalise(scores: Sequence[float], mode: Normalisation) -> Sequence[float]:
    """Map the scores of one response to 0..1, keeping their order exactly.

    Equal scores stay equal and different ones different: where rounding would make two the same, such as the
    probabilities of the logits 40 and 41, they are set apart by the smallest steps a float has.

    Args:
        scores: n finite numbers, n >= 0, of all documents: `MINMAX` depends on the worst as on the best.
        mode: `MINMAX` maps scores that are all equal to 1.0.

    Returns:
        One number a score, in the same order.
    """
    if mode is Normalisation.NONE or not scores:
        return scores
    levels = sorted(set(scores))
    mapped = [sigmoid(level) for level in levels] if mode is Normalisation.SIGMOID else _spread(levels)
    return [*map(dict(zip(levels, _set_apart(mapped), strict=True)).__getitem__, scores)]


def _spread(levels: list[float]) -> list[float]:
    lowest, highest = levels[0], levels[-1]
    if lowest == highest:
        return [1.0]
    # The difference of two large numbers of opposite sign has no float, half of it has.
    scale = 1.0 if math.isfinite(highest - lowest) else 0.5
    width = highest * scale - lowest * scale
    return [(level * scale - lowest * scale) / width for level in levels]


def _set_apart(mapped: list[float]) -> list[float]:
    """Make an ascending list of numbers in 0..1 strictly ascending."""
    for place in range(1, len(mapped)):
        mapped[place] = max(mapped[place], math.nextafter(mapped[place - 1], math.inf))
    ceiling = 1.0
    for place in range(len(mapped) - 1, -1, -1):
        if mapped[place] <= ceiling:
            break
        mapped[place] = ceiling
        ceiling = math.nextafter(ceiling, 0.0)
    return mapped


def rank(
    indices: Sequence[int],
    scores: Sequence[float],
    top_n: int | None,
    threshold: float | None,
    blank_indices: Sequence[int] = (),
) -> Ranking:
    """Order by (-score, index), drop scores below `threshold`, keep the first `top_n`.

    Args:
        indices: n different positions.
        scores: n finite numbers, normalised already if they are to be.
        top_n: At least 1, or `None` for all.
        threshold: Lowest score that is kept.
        blank_indices: Documents that were not scored, ascending: they come last, with a score no better than any.
    """
    # Adding 0.0 makes -0.0 and whole numbers what they equal, so that the same scores give the same bytes.
    score_of = dict(zip(indices, map(add, scores, repeat(0.0)), strict=True)).__getitem__
    by_index = sorted(indices)
    if threshold is not None:
        by_index = [index for index in by_index if score_of(index) >= threshold]
    if top_n is not None and top_n * 8 < len(by_index):
        ranked = heapq.nlargest(top_n, by_index, key=score_of)
    else:
        ranked = sorted(by_index, key=score_of, reverse=True)[:top_n]  # which leaves equal ones in their order
    kept = list(map(score_of, ranked))
    if blank_indices:
        worst = min(0.0, *scores) if scores else 0.0
        if threshold is None or worst >= threshold:
            ranked += blank_indices[: None if top_n is None else top_n - len(ranked)]
            kept += [worst] * (len(ranked) - len(kept))
    return Ranking(ranked, kept)
