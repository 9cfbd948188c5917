from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.evaluation.measures.ranking import discounted_gain, kendall_tau, ndcg, overlap, reciprocal_rank

orders = st.permutations(range(7))


def test_discounted_gain_of_known_grades() -> None:
    assert discounted_gain([3, 2, 0, 1]) == pytest.approx(3 + 2 / 1.5849625 + 1 / 2.3219281)
    assert discounted_gain([3, 2, 0, 1], depth=2) == pytest.approx(3 + 2 / 1.5849625)


def test_ndcg_is_measured_against_all_judged_documents() -> None:
    assert ndcg([1, 0], [1]) == 1.0
    assert ndcg([0, 1], [1]) == pytest.approx(1 / 1.5849625)
    assert ndcg([1, 0], [2, 1]) == pytest.approx(1 / (2 + 1 / 1.5849625))


def test_ndcg_without_a_relevant_document_says_nothing() -> None:
    assert ndcg([0, 0], [0, 0]) is None
    assert ndcg([0, 0], []) is None


def test_reciprocal_rank_looks_no_further_than_its_depth() -> None:
    assert reciprocal_rank([0, 0, 2, 1]) == pytest.approx(1 / 3)
    assert reciprocal_rank([0, 0, 2, 1], depth=2) == 0.0
    assert reciprocal_rank([]) == 0.0


@given(before=orders, after=orders)
def test_kendall_tau_counts_pairs_in_the_same_order(before: list[int], after: list[int]) -> None:
    pairs = list(combinations(range(7), 2))
    same = sum(
        (before.index(one) < before.index(other)) == (after.index(one) < after.index(other)) for one, other in pairs
    )
    assert kendall_tau(before, after) == pytest.approx((2 * same - len(pairs)) / len(pairs))


def test_kendall_tau_is_of_the_documents_in_both() -> None:
    assert kendall_tau([4, 0, 1, 2], [2, 1, 0, 9]) == -1.0
    assert kendall_tau([0, 1], [1, 2]) is None
    assert kendall_tau([], []) is None


def test_kendall_tau_of_ten_thousand_documents() -> None:
    order = list(range(10_000))
    assert kendall_tau(order, order[::-1]) == -1.0


def test_overlap_is_of_the_first_places() -> None:
    assert overlap([0, 1, 2, 3], [1, 0, 4, 5], depth=2) == 1.0
    assert overlap([0, 1, 2, 3], [1, 2, 4, 5], depth=4) == 0.5
    assert overlap([0, 1], [0, 1, 2], depth=10) == pytest.approx(2 / 3)
    assert overlap([], []) == 1.0
    assert overlap([], [0]) == 0.0
