"""LatencyBySize: a high quantile of latency in relation to the size of the call."""

import pytest

from rerankd.engine.routing.latency_by_size import LatencyBySize
from rerankd_adapters.base import ProviderCall

FACTOR = 2**0.5
"""Of two steps of the histogram."""


def observed(*pairs: tuple[int, float]) -> LatencyBySize:
    seen = LatencyBySize()
    for size, latency_s in pairs:
        seen.observe(size, latency_s)
    return seen


def test_nothing_is_known_before_the_first_reply() -> None:
    seen = LatencyBySize()
    assert (seen.high_s(1000), seen.is_settled) == (None, False)
    for count in range(1, 21):
        seen.observe(1000, 0.05)
        assert seen.is_settled is (count == 20)


@pytest.mark.parametrize("latency_s", [0.0, 0.0005, 0.05, 3.0, 60.0, 1e6])
def test_the_estimate_is_at_most_a_step_too_high(latency_s: float) -> None:
    high_s = observed((1000, latency_s)).high_s(1000)
    assert high_s is not None
    known_s = min(max(latency_s, 0.001), 3000.0)
    assert known_s * 0.99 <= high_s <= max(known_s * FACTOR, 4200.0 if latency_s > 3000 else 0.0) * 1.01


def test_one_slow_reply_of_many_does_not_count_but_two_of_a_hundred_do() -> None:
    assert (observed(*[(1000, 0.05)] * 495, (1000, 9.0)).high_s(1000) or 0) < 0.1
    two = observed(*[(1000, 9.0)] * 2, *[(1000, 0.05)] * 94)
    assert (two.high_s(1000) or 0) >= 9.0


def test_a_slow_start_is_forgotten() -> None:
    seen = observed(*[(1000, 20.0)] * 3, *[(1000, 0.05)] * 60)
    assert (seen.high_s(1000) or 0) >= 20.0
    for _ in range(1200):
        seen.observe(1000, 0.05)
    assert (seen.high_s(1000) or 9) < 0.1


def test_a_rise_is_learnt_within_some_calls() -> None:
    seen = observed(*[(1000, 0.05)] * 500)
    for _ in range(32):
        seen.observe(1000, 2.0)
    assert (seen.high_s(1000) or 0) >= 2.0


def test_a_size_that_was_not_seen_is_reckoned_from_its_neighbours() -> None:
    small = observed(*[(1000, 0.05)] * 20)
    near = small.high_s(1000) or 0
    assert small.high_s(64_000) == pytest.approx(near * 64, rel=0.01)
    assert small.high_s(100) == near
    small.observe(1_000_000, 0.4)
    assert (small.high_s(64_000) or 9) <= 0.4 * FACTOR * 1.01


def test_a_size_counts_queries_documents_and_pairs() -> None:
    def size(query: str, *documents: str) -> int:
        return ProviderCall(model="m", query=query, documents=documents).size()

    assert size("q", "a" * 100) < size("q" * 50, "a" * 100) < size("q" * 50, "a" * 100, "")
