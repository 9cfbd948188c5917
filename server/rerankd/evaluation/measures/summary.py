"""What a set of compared queries says: means, paired differences with confidence intervals, the worst queries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rerankd.evaluation.measures.comparison import Pair, QueryComparison
from rerankd.evaluation.measures.intervals import Interval, bootstrap_in_slices


class Difference(msgspec.Struct, frozen=True):
    """One measure over the queries that have it, before and after."""

    queries: int
    """Queries that have the measure, n >= 1."""
    before: float
    """Mean."""
    after: float
    """Mean."""
    difference: Interval
    """Mean of after minus before by query, with its interval."""
    improved: int
    """Queries with a higher value after."""
    worsened: int
    """Queries with a lower one."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All compared queries."""

    queries: int
    """Queries with both rankings."""
    depth: int
    """Ranks that count for all measures but `kendall_tau`."""
    kendall_tau: Interval | None
    """Mean and interval over the queries that have one; `None` where none has."""
    overlap: Interval | None
    """Mean and interval; `None` without a query."""
    reordered: int
    """Queries in which any document changed its rank."""
    judged: float
    """Mean share of the first `depth` documents after that were judged, over the queries with `ndcg`; 0 without one."""
    ndcg: Difference | None
    """`None` where no query was judged."""
    reciprocal_rank: Difference | None
    """As `ndcg`."""
    clicked_rank: Difference | None
    """`None` where no query has clicks. Clicks favour what was shown first, so this favours the baseline."""


async def summarise(comparisons: Sequence[QueryComparison], depth: int) -> Summary:
    """Summarise queries; yields the event loop every millisecond.

    Args:
        comparisons: One for each query with both rankings, n >= 0.
        depth: Ranks that they were compared at.
    """
    judged = [each.judged for each in comparisons if each.ndcg is not None]
    return Summary(
        queries=len(comparisons),
        depth=depth,
        kendall_tau=await _mean([each.kendall_tau for each in comparisons if each.kendall_tau is not None]),
        overlap=await _mean([each.overlap for each in comparisons]),
        reordered=sum(each.changed > 0 for each in comparisons),
        judged=sum(judged) / len(judged) if judged else 0.0,
        ndcg=await _difference([each.ndcg for each in comparisons]),
        reciprocal_rank=await _difference([each.reciprocal_rank for each in comparisons]),
        clicked_rank=await _difference([each.clicked_rank for each in comparisons]),
    )


async def _mean(values: Sequence[float]) -> Interval | None:
    return await bootstrap_in_slices(values) if values else None


async def _difference(found: Sequence[Pair | None]) -> Difference | None:
    pairs = [pair for pair in found if pair is not None]
    if not pairs:
        return None
    differences = [pair.difference for pair in pairs]
    return Difference(
        queries=len(pairs),
        before=sum(pair.before for pair in pairs) / len(pairs),
        after=sum(pair.after for pair in pairs) / len(pairs),
        difference=await bootstrap_in_slices(differences),
        improved=sum(value > 0 for value in differences),
        worsened=sum(value < 0 for value in differences),
    )
