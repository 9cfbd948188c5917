from __future__ import annotations

import statistics

import pytest

from rerankd.local.cascade.prior import read_prior
from rerankd_adapters.base import ProviderCall


def _call(count: int, *, scores: list[float] | None = None, ranked: bool | None = None) -> ProviderCall:
    documents = ["text"] * count
    return ProviderCall(model="default", query="q", documents=documents, prior_scores=scores, documents_ranked=ranked)


@pytest.mark.parametrize(
    ("ranked", "assumed", "counts"),
    [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
def test_a_call_says_more_than_the_settings(ranked: bool | None, assumed: bool, counts: bool) -> None:
    prior = read_prior(_call(5, ranked=ranked), assumes_ranked=assumed)
    assert (prior is not None) is counts


def test_places_are_evenly_distributed() -> None:
    prior = read_prior(_call(100, ranked=True), assumes_ranked=False)
    assert prior is not None
    assert prior == sorted(prior, reverse=True)
    assert statistics.fmean(prior) == pytest.approx(0)
    assert statistics.pstdev(prior) == pytest.approx(1)


@pytest.mark.parametrize("factor", [1.0, -3.0, 1e-300, 1e308])
def test_scores_count_by_their_own_distribution(factor: float) -> None:
    prior = read_prior(_call(4, scores=[factor * value for value in (0.1, 0.2, 0.3, 1.0)]), assumes_ranked=False)
    reference = read_prior(_call(4, scores=[0.1, 0.2, 0.3, 1.0]), assumes_ranked=False)
    assert prior is not None
    assert reference is not None
    assert prior == pytest.approx([value if factor > 0 else -value for value in reference])


def test_an_outlier_counts_three_deviations() -> None:
    prior = read_prior(_call(100, scores=[0.0] * 99 + [1e300]), assumes_ranked=False)
    assert prior is not None
    assert max(prior) == 3.0


@pytest.mark.parametrize("scores", [[1.0], [0.0, 0.0], [7.0, 7.0, 7.0]])
def test_scores_that_tell_nothing_apart_do_not_count(scores: list[float]) -> None:
    assert read_prior(_call(len(scores), scores=scores), assumes_ranked=False) is None


def test_scores_go_before_places() -> None:
    prior = read_prior(_call(3, scores=[1.0, 2.0, 3.0], ranked=True), assumes_ranked=True)
    assert prior is not None
    assert prior == sorted(prior)
