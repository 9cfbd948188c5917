"""Measures of rankings: NDCG, reciprocal rank, Kendall's tau, overlap. Pure arithmetic.

A ranking is the indices of documents, best first, without repeats; it may hold fewer than all documents.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final

DEPTH: Final = 10
"""Ranks that count unless another depth is given."""


def discounted_gain(gains: Sequence[float], depth: int = DEPTH) -> float:
    """Return the discounted cumulative gain: gains as they are, not powers of 2, over the logarithm of the rank.

    Args:
        gains: Gains in rank order, 0 and above.
        depth: Ranks that count, at least 1.
    """
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:depth], start=1))


def ndcg(gains: Sequence[float], judged: Iterable[float], depth: int = DEPTH) -> float | None:
    """Return the normalised discounted cumulative gain of a ranking, 0 to 1.

    Args:
        gains: Grades of the ranked documents, best document first; 0 for one that was not judged.
        judged: Grades of all judged documents of the query, ranked or not: their best order is the ideal.
        depth: Ranks that count, at least 1.

    Returns:
        None where no judged document is relevant: every ranking is as good as any other then.
    """
    ideal = discounted_gain(sorted(judged, reverse=True), depth)
    return discounted_gain(gains, depth) / ideal if ideal else None


def reciprocal_rank(gains: Sequence[float], depth: int = DEPTH) -> float:
    """Return 1 over the rank of the first document with a gain above 0; 0 where none is among the first `depth`."""
    return next((1 / rank for rank, gain in enumerate(gains[:depth], start=1) if gain > 0), 0.0)


def kendall_tau(before: Sequence[int], after: Sequence[int]) -> float | None:
    """Return Kendall's tau of the documents that both rankings hold: 1 same order, -1 reversed.

    Returns:
        None where fewer than two documents are in both.
    """
    ranks = {index: rank for rank, index in enumerate(after)}
    common = [ranks[index] for index in before if index in ranks]
    if len(common) < 2:
        return None
    seen: list[int] = []
    inversions = 0
    for rank in common:
        inversions += len(seen) - bisect_left(seen, rank)
        insort(seen, rank)
    pairs = len(common) * (len(common) - 1) // 2
    return 1 - 2 * inversions / pairs


def overlap(before: Sequence[int], after: Sequence[int], depth: int = DEPTH) -> float:
    """Return the share of the first `depth` documents that both rankings have there, 0 to 1.

    Rankings of fewer documents are compared at the length of the longer one; two empty ones are equal.
    """
    ranks = min(depth, max(len(before), len(after)))
    return len(set(before[:depth]) & set(after[:depth])) / ranks if ranks else 1.0
