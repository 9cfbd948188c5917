"""Budgets and rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.routing.allowances import MinuteRate, ShareBudget
from tests.support.engines import Clock


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 1), st.integers(0, 20))
def test_extra_calls_are_bounded_by_the_burst_and_the_share(steps: list[bool], share: float, burst: int) -> None:
    budget = ShareBudget(share, burst)
    ordinary = extra = 0
    for is_ordinary in steps:
        if is_ordinary:
            budget.deposit()
            ordinary += 1
        else:
            extra += budget.withdraw()
        assert extra <= burst + share * ordinary + 1e-6


def test_a_budget_of_nothing_permits_nothing() -> None:
    budget = ShareBudget(0.0, 0)
    budget.deposit()
    assert not budget.withdraw()


def test_a_full_minute_at_once_then_evenly() -> None:
    clock = Clock()
    rate = MinuteRate(60, clock)
    assert rate.wait_s(60) == 0.0
    rate.take(60)
    assert rate.used == 1.0
    assert rate.wait_s(1) == pytest.approx(1.0)
    clock.now_s += 1.0
    assert rate.wait_s(1) == 0.0
    clock.now_s += 3600
    assert rate.used == 0.0


def test_an_amount_over_the_rate_needs_a_full_minute_and_is_owed_then() -> None:
    clock = Clock()
    rate = MinuteRate(60, clock)
    assert rate.wait_s(600) == 0.0
    rate.take(600)
    assert rate.wait_s(1) == pytest.approx(541.0)
    assert rate.used > 1


def test_what_is_given_back_is_there_again_but_no_more() -> None:
    rate = MinuteRate(60, Clock())
    rate.take(30)
    rate.take(-60)
    assert rate.used == 0.0
    assert rate.wait_s(60) == 0.0
