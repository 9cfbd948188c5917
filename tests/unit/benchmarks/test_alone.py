"""Documents of a labelled set that are sent alone."""

from __future__ import annotations

from benchmarks.alone import AloneScores, right_pairs, unrelated_pairs
from benchmarks.retrieval_sets import LabelledQuery

QUERIES = [
    LabelledQuery("bees", ["honey", "wax", "shares"], [2, 1, 0], [2, 1]),
    LabelledQuery("stocks", ["shares", "bonds"], [1, 0], [1]),
]


def test_right_ones_are_all_candidates_judged_relevant() -> None:
    assert right_pairs(QUERIES) == [("bees", "honey"), ("bees", "wax"), ("stocks", "shares")]


def test_unrelated_ones_are_candidates_of_other_queries_alone() -> None:
    pairs = unrelated_pairs(QUERIES)
    assert [query for query, _ in pairs] == ["bees", "stocks"]
    assert pairs[0][1] == "bonds"
    assert pairs[1][1] in {"honey", "wax"}
    assert pairs == unrelated_pairs(QUERIES)


def test_a_row_tells_how_far_both_reach() -> None:
    scores = AloneScores([0.9, 0.7, 0.5], [0.01] * 99 + [0.4])
    assert scores.row() == ("3", "0.70", "67%", "0.010", "0.400")
