from __future__ import annotations

import pytest

from rerankd.evaluation.measures.comparison import Labels, Pair, RankChange, compare
from rerankd.evaluation.measures.summary import summarise


def test_ranks_before_and_after_the_largest_changes_first() -> None:
    found = compare([0, 1, 2, 3], [3, 1, 0, 4], Labels({3: 2}, [2]))

    assert found.changes == [
        RankChange(3, 4, 1, 2),
        RankChange(0, 1, 3),
        RankChange(2, 3, None),
        RankChange(4, None, 4),
    ]
    assert found.changed == 4
    assert found.overlap == 0.75


def test_a_document_that_one_ranking_lacks_stands_beyond_its_end() -> None:
    assert compare([0, 1], [2]).changes == [
        RankChange(2, None, 1),
        RankChange(0, 1, None),
        RankChange(1, 2, None),
    ]


def test_equal_rankings() -> None:
    found = compare([2, 0, 1], [2, 0, 1])

    assert (found.kendall_tau, found.overlap, found.changed) == (1.0, 1.0, 0)
    assert (found.ndcg, found.reciprocal_rank, found.clicked_rank) == (None, None, None)


def test_measures_of_a_judged_query() -> None:
    labels = Labels(grades={0: 0, 1: 1}, ideal=[1, 0], clicks={0: 3})

    found = compare([0, 1], [1, 0], labels)

    assert found.ndcg is not None
    assert found.ndcg.before == pytest.approx(1 / 1.5849625)
    assert found.ndcg.after == 1.0
    assert found.reciprocal_rank == Pair(0.5, 1.0)
    assert found.clicked_rank == Pair(1.0, 0.5)
    assert found.judged == 1.0


def test_a_query_whose_relevant_documents_were_not_in_the_request_counts_0() -> None:
    found = compare([0, 1], [1, 0], Labels(ideal=[3]))

    assert found.ndcg == found.reciprocal_rank == Pair(0.0, 0.0)


def test_only_judgements_without_relevance_say_nothing() -> None:
    assert compare([0, 1], [1, 0], Labels({0: 0}, [0])).ndcg is None


def test_the_worst_query_has_lost_most_ndcg_then_is_most_disordered() -> None:
    labels = Labels({0: 1}, [1])
    better = compare([1, 0, 2], [0, 1, 2], labels)
    worse = compare([0, 1, 2], [2, 1, 0], labels)
    reversed_ = compare([0, 1, 2], [2, 1, 0])
    swapped = compare([0, 1, 2], [1, 0, 2])

    found = sorted([better, swapped, reversed_, worse], key=lambda each: each.badness)

    assert found == [worse, reversed_, swapped, better]


async def test_summary_of_paired_differences() -> None:
    labels = Labels({0: 1}, [1], {0: 1})
    better, worse = compare([1, 0], [0, 1], labels), compare([0, 1], [1, 0], labels)
    same, unjudged = compare([0, 1], [0, 1], labels), compare([0, 1], [1, 0])

    found = await summarise([better, better, worse, same, unjudged], 10)

    assert (found.queries, found.reordered, found.judged) == (5, 4, 0.5)
    assert found.kendall_tau is not None
    assert found.kendall_tau.mean == pytest.approx(-0.6)
    gain = 1 - 1 / 1.5849625
    assert found.ndcg is not None
    assert (found.ndcg.queries, found.ndcg.improved, found.ndcg.worsened) == (4, 2, 1)
    assert found.ndcg.difference.mean == pytest.approx(gain / 4) == found.ndcg.after - found.ndcg.before
    assert found.ndcg.difference.low < 0 < found.ndcg.difference.high
    assert found.reciprocal_rank is not None
    assert found.reciprocal_rank.difference.mean == pytest.approx(0.125)
    assert found.clicked_rank == found.reciprocal_rank


async def test_summary_of_nothing() -> None:
    found = await summarise([], 10)

    assert (found.queries, found.kendall_tau, found.overlap, found.ndcg) == (0, None, None, None)
