"""Ranks documents by score: normalisation, order, threshold, top_n."""

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


def _separate(mapped: list[float]) -> list[float]:
    """Make an ascending list of numbers in 0..1 strictly ascending."""
    for position in range(1, len(mapped)):
        mapped[position] = max(mapped[position], math.nextafter(mapped[position - 1], math.inf))
    ceiling = 1.0
    for position in range(len(mapped) - 1, -1, -1):
        if mapped[position] <= ceiling:
            break
        mapped[position] = ceiling
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
