"""LatencyStats: moving average and percentile."""

import pytest

from rerankd.engine.routing.latency import LatencyStats
from tests.support.engines import Clock


def test_a_rise_counts_at_once_and_is_forgotten_by_and_by() -> None:
    clock = Clock()
    seen = LatencyStats(clock)
    assert seen.average_s == 0.0
    seen.observe(0.1)
    seen.observe(1.0)
    assert seen.average_s == 1.0
    seen.observe(0.1)
    assert 0.1 < seen.average_s <= 1.0
    clock.now_s += 10
    assert seen.average_s == pytest.approx(1.0 / 2.718281828, rel=1e-6)
    clock.now_s += 100
    seen.observe(0.1)
    assert seen.average_s == pytest.approx(0.1, rel=1e-3)


def test_no_percentile_of_a_few_calls() -> None:
    seen = LatencyStats(Clock())
    for _ in range(19):
        seen.observe(0.1)
    assert seen.p95_s is None
    seen.observe(0.1)
    assert seen.p95_s == 0.1


def test_the_percentile_follows_the_last_calls() -> None:
    seen = LatencyStats(Clock())
    for number in range(1, 101):
        seen.observe(number / 100)
    assert seen.p95_s == pytest.approx(0.95, abs=0.05)
    for _ in range(300):
        seen.observe(0.01)
    assert seen.p95_s == 0.01


def test_calls_given_up_weigh_in_the_average_but_not_in_the_percentile() -> None:
    seen = LatencyStats(Clock())
    for _ in range(20):
        seen.observe(0.1)
    for _ in range(100):
        seen.observe_slow(5.0)
    assert seen.average_s == 5.0
    assert seen.p95_s == 0.1
