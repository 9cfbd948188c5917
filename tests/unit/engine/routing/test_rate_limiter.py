"""RateLimiter: the token bucket."""

import pytest

from rerankd.engine.routing.rate_limiter import RateLimiter
from tests.support.engines import Clock


def test_a_full_minute_at_once_then_evenly() -> None:
    clock = Clock()
    rate = RateLimiter(60, clock)
    assert rate.wait_s(60) == 0.0
    rate.take(60)
    assert rate.utilisation == 1.0
    assert rate.wait_s(1) == pytest.approx(1.0)
    clock.now_s += 1.0
    assert rate.wait_s(1) == 0.0
    clock.now_s += 3600
    assert rate.utilisation == 0.0


def test_an_amount_over_the_rate_needs_a_full_minute_and_is_owed_then() -> None:
    clock = Clock()
    rate = RateLimiter(60, clock)
    assert rate.wait_s(600) == 0.0
    rate.take(600)
    assert rate.wait_s(1) == pytest.approx(541.0)
    assert rate.utilisation > 1


def test_what_is_given_back_is_there_again_but_no_more() -> None:
    rate = RateLimiter(60, Clock())
    rate.take(30)
    rate.take(-60)
    assert rate.utilisation == 0.0
    assert rate.wait_s(60) == 0.0
