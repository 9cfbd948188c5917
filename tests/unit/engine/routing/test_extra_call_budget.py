"""ExtraCallBudget: limits retries and hedges to a share of traffic."""

from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.routing.extra_call_budget import ExtraCallBudget
from tests.support.engines import Clock


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 1), st.integers(0, 20))
def test_extra_calls_are_bounded_by_the_burst_and_the_share(steps: list[bool], share: float, burst: int) -> None:
    budget = ExtraCallBudget(share, burst)
    ordinary = extra = 0
    for is_ordinary in steps:
        if is_ordinary:
            budget.deposit()
            ordinary += 1
        else:
            extra += budget.withdraw()
        assert extra <= burst + share * ordinary + 1e-6


def test_each_second_funds_a_few_however_little_the_traffic_is() -> None:
    clock = Clock()
    budget = ExtraCallBudget(0.2, 1, per_s=2.0, clock=clock)
    assert [budget.withdraw() for _ in range(2)] == [True, False]
    clock.now_s += 0.5
    assert [budget.withdraw() for _ in range(2)] == [True, False]
    clock.now_s += 3600
    assert [budget.withdraw() for _ in range(4)] == [True, True, False, False]


def test_a_budget_of_nothing_permits_nothing() -> None:
    budget = ExtraCallBudget(0.0, 0)
    budget.deposit()
    assert not budget.withdraw()
