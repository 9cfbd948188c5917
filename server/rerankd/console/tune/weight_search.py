"""Searches the weights of a fusion that order judged queries best. Pure arithmetic, deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.evaluation.measures.ranking import DEPTH, discounted_gain

Weights = tuple[float, ...]
"""One a member, the highest 1."""

FOLDS: Final = 5
_LEVELS: Final = (0.0, *[2 ** (step / 2) for step in range(-10, 11)])
"""Weights that a coordinate tries while the highest of the others is 1: 0, and 1/32 to 32 in steps of the root of 2."""
_MOST_ROUNDS: Final = 10
_LEAST_GAIN: Final = 1e-9


@dataclass(frozen=True, slots=True)
class ScoredQuery:
    """A judged query, its members' scores on the fusion's common scale."""

    columns: Sequence[Sequence[float]]
    """m members' scores of n documents."""
    grades: Sequence[float]
    """n grades, one of them above 0."""


class Evaluation:
    """NDCG@10 of every query by weights; remembers what it computed.

    Args:
        queries: n queries, n >= 1, of the same members.
    """

    def __init__(self, queries: Sequence[ScoredQuery]) -> None:
        self._queries = queries
        self._ideals = [discounted_gain(sorted(query.grades, reverse=True)) for query in queries]
        self._known: dict[Weights, list[float]] = {}
        self.members = len(queries[0].columns)
        """m."""

    def ndcg(self, weights: Sequence[float]) -> list[float]:
        """Return the NDCG@10 of each query, 0 to 1; equal scores rank in request order."""
        key = scale(weights)
        found = self._known.get(key)
        if found is None:
            pairs = zip(self._queries, self._ideals, strict=True)
            found = self._known[key] = [_ndcg(query, key, ideal) for query, ideal in pairs]
        return found


def scale(weights: Sequence[float]) -> Weights:
    """Return weights with the same ratios, the highest 1."""
    highest = max(weights)
    return tuple([round(weight / highest, 9) for weight in weights])


def search(evaluation: Evaluation, chosen: Sequence[int], starts: Iterable[Sequence[float]]) -> Weights:
    """Search by coordinates, from each of several starts, for the weights with the best mean NDCG@10.

    Args:
        evaluation: Of all queries.
        chosen: Positions of the queries that count, at least one.
        starts: Weights to start from; the first of equally good results is returned.
    """
    best: Weights = ()
    best_value = -math.inf
    for start in starts:
        weights, value = _climb(lambda tried: _mean_of(evaluation.ndcg(tried), chosen), scale(start))
        if value > best_value + _LEAST_GAIN:
            best, best_value = weights, value
    return best


def _climb(value_of: Callable[[Weights], float], weights: Weights) -> tuple[Weights, float]:
    value = value_of(weights)
    for _ in range(_MOST_ROUNDS):
        before = value
        for member in range(len(weights)):
            others = [0.0 if other == member else weight for other, weight in enumerate(weights)]
            if not any(others):
                continue  # the only member with a weight: its level changes no ratio
            others = list(scale(others))
            for level in _LEVELS:
                tried = scale([*others[:member], level, *others[member + 1 :]])
                if (found := value_of(tried)) > value + _LEAST_GAIN:
                    weights, value = tried, found
        if value == before:
            break
    return weights, value


def cross_validate(evaluation: Evaluation, count: int, starts: Sequence[Sequence[float]]) -> list[float]:
    """Return each query's NDCG@10 by weights that were learnt without it.

    Args:
        evaluation: Of `count` queries, at least 2.
        count: Queries; the n-th is in fold n modulo `FOLDS`.
        starts: See `search`.
    """
    held_out = [0.0] * count
    folds = min(FOLDS, count)
    for fold in range(folds):
        weights = search(evaluation, [query for query in range(count) if query % folds != fold], starts)
        values = evaluation.ndcg(weights)
        for query in range(fold, count, folds):
            held_out[query] = values[query]
    return held_out


def _mean_of(values: Sequence[float], chosen: Sequence[int]) -> float:
    return math.fsum(map(values.__getitem__, chosen)) / len(chosen)


def _ndcg(query: ScoredQuery, weights: Weights, ideal: float) -> float:
    scores = [0.0] * len(query.grades)
    for weight, column in zip(weights, query.columns, strict=True):
        if weight:
            scores = [score + weight * value for score, value in zip(scores, column, strict=True)]
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return discounted_gain([query.grades[position] for position in order[:DEPTH]]) / ideal
