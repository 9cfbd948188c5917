"""Fuses the scores that several models gave the same documents. Pure arithmetic.

Every method maps each member's scores to a common scale and sums them with the members' weights. Documents that a
member left out, because it returned only its best, count as its last.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from rerankd.engine.time_slice import TimeSlice

RRF_K: Final = 60.0
"""Rank constant of the paper (Cormack et al. 2009), for ranks from 1."""
_SIGMAS: Final = 3.0


class Method(StrEnum):
    """How scores are mapped to a common scale."""

    WEIGHTED = "weighted"
    """Convex combination of min-max scores, from the lowest possible score where it is known (Bruch et al. 2023)."""
    RRF = "rrf"
    """Reciprocal rank fusion: 1 / (k + rank)."""
    Z_SCORE = "z-score"
    """Distance from the member's mean in standard deviations."""
    DBSF = "dbsf"
    """Distribution-based: mean - 3 sigma is 0, mean + 3 sigma is 1, scores beyond are clamped."""
    RANK = "rank"
    """1 - (rank - 1) / n."""
    ISR = "isr"
    """Inverse square rank: 1 / rank², times the share of members that gave the document."""
    COMB_MNZ = "combmnz"
    """Min-max scores, times the share of members that gave the document."""

    @property
    def uses_ranks(self) -> bool:
        """Whether only the order of a member's scores counts."""
        return self in (Method.RRF, Method.RANK, Method.ISR)


@dataclass(slots=True, frozen=True)
class MemberScores:
    """What one member said of the documents of a request."""

    positions: Sequence[int]
    """m positions of n documents, without duplicates; fewer than all if the member returned its best only."""
    scores: Sequence[float]
    """m finite numbers; higher is better."""
    minimum: float | None = None
    """Lowest score that the member could give; `None` if it is not known."""
    maximum: float | None = None
    """Highest score that the member could give, if its scores are to be taken as shares of it; `None`: shares of the
    highest of them."""


class MemberPart(NamedTuple):
    """One member's part of the fused scores; n values in each list."""

    weight: float
    """The member's share of all weights, 0 to 1; 0 if its scores are all equal."""
    ranks: list[int]
    """From 1; equal scores share the best of their ranks; 0: not scored by the member."""
    normalised: list[float]
    """On the method's common scale."""
    contributions: list[float]
    """What the member adds to each fused score."""


class Fused(NamedTuple):
    """Fused scores of n documents, and how they came about."""

    scores: list[float]
    """0 to 1; with `Method.Z_SCORE` any finite number. Comparable within one response only."""
    parts: list[MemberPart]
    """One a member."""


def fuse(
    members: Sequence[MemberScores], weights: Sequence[float], count: int, method: Method, *, rrf_k: float = RRF_K
) -> Fused:
    """Fuse the scores of several members.

    Independent of the order of the members and of their scores. A member whose scores are all equal adds nothing; only
    the others share the weight.

    Args:
        members: m members, m >= 1.
        weights: m numbers, none negative, not all 0; only their ratios count.
        count: n, the number of documents.
        method: See `Method`.
        rrf_k: Rank constant of `Method.RRF`, above 0.
    """
    steps = _fusing(members, weights, count, method, rrf_k)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            fused: Fused = done.value
            return fused


async def fuse_in_turns(
    members: Sequence[MemberScores], weights: Sequence[float], count: int, method: Method, *, rrf_k: float = RRF_K
) -> Fused:
    """Fuse as `fuse`, and give other tasks of the event loop their turn every few milliseconds."""
    steps = _fusing(members, weights, count, method, rrf_k)
    time_slice = TimeSlice()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            fused: Fused = done.value
            return fused
        if time_slice.is_over():
            await time_slice.rest()


def _fusing(
    members: Sequence[MemberScores], weights: Sequence[float], count: int, method: Method, rrf_k: float
) -> Generator[None, None, Fused]:
    """Fuse in steps of one pass over the documents, some 5 ms for 10,000 of them; see `fuse`."""
    ranks = []
    for member in members:
        ranks.append(competition_ranks(member.scores))
        yield
    weights = [weight if _tells_apart(given, count) else 0.0 for given, weight in zip(ranks, weights, strict=True)]
    total = math.fsum(weights) or 1.0
    parts = []
    for member, given, weight in zip(members, ranks, weights, strict=True):
        parts.append(_part(member, given, count, weight / total, *_normalise(member, given, count, method, rrf_k)))
        yield
    if method in (Method.ISR, Method.COMB_MNZ):
        parts = _weigh_by_hits(parts, count)
    # An exact sum does not depend on the order of the members.
    return Fused(list(map(math.fsum, zip(*[part.contributions for part in parts], strict=True))), parts)


def competition_ranks(scores: Sequence[float]) -> list[int]:
    """Return the rank of each score, from 1; equal scores share the best of their ranks: 1, 2, 2, 4."""
    rank_of: dict[float, int] = {}
    for rank, score in enumerate(sorted(scores, reverse=True), start=1):
        rank_of.setdefault(score, rank)
    return list(map(rank_of.__getitem__, scores))


def scale_to_unit(scores: Sequence[float], minimum: float | None = None, maximum: float | None = None) -> list[float]:
    """Scale linearly: `minimum`, or the lowest score where that is lower, to 0, and `maximum` likewise to 1.

    Args:
        scores: n finite numbers that are not all equal.
        minimum: Lowest possible score; `None`: the lowest of `scores`.
        maximum: Highest possible score; `None`: the highest of `scores`.
    """
    lowest, highest = min(scores), max(scores)
    if minimum is not None:
        lowest = min(lowest, minimum)
    if maximum is not None:
        highest = max(highest, maximum)
    # The difference of two large numbers of opposite sign overflows; half of it does not.
    factor = 1.0 if math.isfinite(highest - lowest) else 0.5
    width = highest * factor - lowest * factor
    return [(score * factor - lowest * factor) / width for score in scores]


def scale_by_distribution(scores: Sequence[float]) -> list[float]:
    """Scale to 0..1 by mean and standard deviation, so that one outlier does not flatten the others.

    Args:
        scores: n finite numbers that are not all equal.

    Returns:
        0 at three standard deviations (of a sample) below the mean, 1 at three above, clamped.
    """
    values = scale_to_unit(scores)
    mean, sigma = _moments(values, len(values) - 1)
    return [min(max(0.5 + (value - mean) / (2 * _SIGMAS * sigma), 0.0), 1.0) for value in values]


def _moments(values: Sequence[float], degrees: int) -> tuple[float, float]:
    """Return the mean and the standard deviation with `degrees` of freedom."""
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum([(value - mean) ** 2 for value in values]) / degrees)


def _tells_apart(ranks: Sequence[int], count: int) -> bool:
    """Whether a member prefers some document to another."""
    return bool(ranks) and (len(ranks) < count or max(ranks) > 1)


def _part(
    member: MemberScores, given: Sequence[int], count: int, weight: float, values: Sequence[float], last: float
) -> MemberPart:
    """Spread a member's ranks and normalised values over all documents; `last` is the value of those it left out."""
    ranks, normalised = [0] * count, [last] * count
    for position, rank, value in zip(member.positions, given, values, strict=True):
        ranks[position] = rank
        normalised[position] = value
    return MemberPart(weight, ranks, normalised, [weight * value for value in normalised])


def _normalise(
    member: MemberScores, ranks: Sequence[int], count: int, method: Method, rrf_k: float
) -> tuple[list[float], float]:
    """Return the normalised value of each of a member's scores, and that of the documents it left out."""
    if method is Method.RRF:
        return [1 / (rrf_k + rank) for rank in ranks], 0.0
    if method is Method.RANK:
        return [1 - (rank - 1) / count for rank in ranks], 0.0
    if method is Method.ISR:
        return [1 / rank**2 for rank in ranks], 0.0
    scores = member.scores
    if max(ranks, default=1) == 1:
        return [float(len(ranks) < count)] * len(ranks), 0.0
    if method in (Method.WEIGHTED, Method.COMB_MNZ):
        return scale_to_unit(scores, member.minimum, member.maximum), 0.0
    if method is Method.DBSF:
        values = scale_by_distribution(scores)
    else:
        values = scale_to_unit(scores)
        mean, sigma = _moments(values, len(values))
        values = [(value - mean) / sigma for value in values]
    return values, min(values)


def _weigh_by_hits(parts: Sequence[MemberPart], count: int) -> list[MemberPart]:
    """Multiply what the members add to a document by the share of them that scored it."""
    hits, telling = [0] * count, [part for part in parts if part.weight]
    for part in telling:
        hits = [hit + (rank > 0) for hit, rank in zip(hits, part.ranks, strict=True)]
    shares = [hit / max(len(telling), 1) for hit in hits]
    return [
        part._replace(contributions=[value * share for value, share in zip(part.contributions, shares, strict=True)])
        for part in parts
    ]
