"""Two rankings of the same documents, compared: what moved, and what judgements say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from rerankd.evaluation.measures.ranking import DEPTH, kendall_tau, ndcg, overlap, reciprocal_rank

_KEPT_CHANGES: Final = 20
"""Rank changes of a query that are kept, the largest ones."""


class Labels(msgspec.Struct, frozen=True):
    """What is known of a query's documents."""

    grades: Mapping[int, int] = msgspec.field(default_factory=dict)
    """Grade of each judged document of the request, 0 to 3, by index."""
    ideal: Sequence[int] = ()
    """Grades of all judged documents of the query, those of the request and others."""
    clicks: Mapping[int, int] = msgspec.field(default_factory=dict)
    """How often each document of the request was clicked, by index, where it was."""


NO_LABELS: Final = Labels()


class RankChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document's rank before and after."""

    index: int
    before: int | None = None
    """One-based; `None` where the ranking does not hold the document."""
    after: int | None = None
    """As `before`."""
    grade: int | None = None
    """0 to 3; `None` where the document was not judged."""


class Pair(msgspec.Struct, frozen=True):
    """One measure of a query before and after."""

    before: float
    after: float

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before


class QueryComparison(msgspec.Struct, frozen=True):
    """One query's two rankings."""

    kendall_tau: float | None
    """-1 to 1, of the documents in both; `None` where there are fewer than two."""
    overlap: float
    """Share of the first `depth` documents that both have there, 0 to 1."""
    changes: Sequence[RankChange]
    """Documents whose rank changed, the largest changes first, at most 20."""
    changed: int
    """Number of all of them."""
    ndcg: Pair | None
    """NDCG at `depth`, 0 to 1; `None` where no judged document of the query is relevant."""
    reciprocal_rank: Pair | None
    """Of the first relevant document within `depth`, 0 to 1; as `ndcg`."""
    clicked_rank: Pair | None
    """Reciprocal rank of the first clicked document within `depth`; `None` where none was clicked."""
    judged: float
    """Share of the first `depth` documents after that were judged, 0 to 1."""

    @property
    def badness(self) -> float:
        """Sorts the worst first: loss of NDCG by thousandths, then disorder, then overlap."""
        lost = 0.0 if self.ndcg is None else self.ndcg.difference
        order = (-1.0 if self.changed else 1.0) if self.kendall_tau is None else self.kendall_tau
        return 1000 * lost + order + self.overlap / 1000


def compare(
    before: Sequence[int], after: Sequence[int], labels: Labels = NO_LABELS, depth: int = DEPTH
) -> QueryComparison:
    """Compare two rankings of one request's documents.

    Args:
        before: Indices, best first, of the baseline.
        after: The same of the candidate.
        labels: Judgements and clicks.
        depth: Ranks that count for overlap, NDCG and reciprocal rank, at least 1.
    """
    changes = rank_changes(before, after, labels.grades)
    first = after[:depth]
    is_judged = any(labels.ideal)
    return QueryComparison(
        kendall_tau=kendall_tau(before, after),
        overlap=overlap(before, after, depth),
        changes=changes[:_KEPT_CHANGES],
        changed=len(changes),
        ndcg=_ndcg_pair(before, after, labels, depth) if is_judged else None,
        reciprocal_rank=_rank_pair(before, after, labels.grades, depth) if is_judged else None,
        clicked_rank=_rank_pair(before, after, labels.clicks, depth) if any(labels.clicks.values()) else None,
        judged=sum(index in labels.grades for index in first) / len(first) if first else 0.0,
    )


def rank_changes(before: Sequence[int], after: Sequence[int], grades: Mapping[int, int]) -> list[RankChange]:
    """Return the documents whose rank changed, the largest changes first.

    A document that only one ranking holds counts as the first one beyond the other's end.
    """
    old = {index: rank for rank, index in enumerate(before, start=1)}
    new = {index: rank for rank, index in enumerate(after, start=1)}
    changes = [
        RankChange(index, old.get(index), new.get(index), grades.get(index))
        for index in dict.fromkeys((*before, *after))
        if old.get(index) != new.get(index)
    ]
    beyond_old, beyond_new = len(old) + 1, len(new) + 1
    return sorted(
        changes,
        key=lambda each: (
            -abs((each.before or beyond_old) - (each.after or beyond_new)),
            each.after or beyond_new,
            each.index,
        ),
    )


def _ndcg_pair(before: Sequence[int], after: Sequence[int], labels: Labels, depth: int) -> Pair:
    old, new = (
        ndcg([labels.grades.get(index, 0) for index in order], labels.ideal, depth) for order in (before, after)
    )
    return Pair(old or 0.0, new or 0.0)


def _rank_pair(before: Sequence[int], after: Sequence[int], gains: Mapping[int, int], depth: int) -> Pair:
    old, new = (reciprocal_rank([gains.get(index, 0) for index in order], depth) for order in (before, after))
    return Pair(old, new)
