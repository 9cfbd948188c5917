"""Who guesses waits longer and longer, and nobody can make the server remember without end."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from rerankd.access.key_format import new_secret
from rerankd.access.sessions import login_guard
from rerankd.access.sessions.login_guard import FREE_FAILURES, MAX_PER_MINUTE, LoginGuard
from rerankd.contract.errors import Reason, ServiceError
from tests.support.engines import Clock


def delay_s(guard: LoginGuard, address: str = "10.0.0.1", credential: str | None = None) -> float:
    """Try to log in; return how long to wait, 0 where the login was let through."""
    try:
        guard.begin(address, new_secret() if credential is None else credential)
    except ServiceError as error:
        refused = error
    else:
        return 0.0
    assert refused.reason is Reason.RATE_LIMITED
    assert refused.retry_after_s is not None
    return refused.retry_after_s


def test_an_address_is_locked_for_longer_and_longer() -> None:
    clock = Clock()
    guard = LoginGuard(clock)
    with capture_logs() as logs:
        for _ in range(FREE_FAILURES["address"] + 1):
            assert delay_s(guard) == 0
        locks = []
        for _ in range(14):
            locks.append(delay_s(guard))
            clock.now_s += locks[-1] - 0.001
            assert delay_s(guard) > 0
            clock.now_s += 0.002
            assert delay_s(guard) == 0
    assert locks[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.01)
    assert max(locks) == pytest.approx(900)
    assert delay_s(guard, "10.0.0.2") == 0
    assert len(logs) == 1


def test_the_beginning_of_a_key_is_locked_wherever_it_is_tried_from() -> None:
    guard, key = LoginGuard(Clock()), new_secret()
    for number in range(FREE_FAILURES["key"] + 1):
        assert delay_s(guard, f"10.0.1.{number}", key[:-6] + f"{number:06}") == 0
    assert delay_s(guard, "10.0.2.1", key) > 0
    assert delay_s(guard, "10.0.2.1") == 0


def test_many_at_once_are_counted_before_any_has_failed() -> None:
    guard = LoginGuard(Clock())
    let_through = sum(delay_s(guard) == 0 for _ in range(1000))
    assert let_through == FREE_FAILURES["address"] + 1


def test_success_forgets_the_failures_of_the_key_but_not_those_of_the_address() -> None:
    clock = Clock()
    guard, mine = LoginGuard(clock), new_secret()
    for _ in range(FREE_FAILURES["address"] - 1):
        assert delay_s(guard) == 0
    for _ in range(3):
        assert delay_s(guard, credential=mine) == 0
        guard.succeeded("10.0.0.1", mine)
    assert delay_s(guard) == 0
    assert delay_s(guard) == 0
    assert delay_s(guard) > 0


def test_failures_are_forgotten_after_an_hour() -> None:
    clock = Clock()
    guard = LoginGuard(clock)
    for _ in range(FREE_FAILURES["address"] + 1):
        delay_s(guard)
    clock.now_s += 3601
    for _ in range(FREE_FAILURES["address"] + 1):
        assert delay_s(guard) == 0


def test_logins_that_succeed_are_bounded_too() -> None:
    clock = Clock()
    clock.now_s = 6000.0
    guard, mine = LoginGuard(clock), new_secret()
    for _ in range(MAX_PER_MINUTE["key"]):
        assert delay_s(guard, credential=mine) == 0
        guard.succeeded("10.0.0.1", mine)
    assert delay_s(guard, credential=mine) == 60
    clock.now_s += 60
    assert delay_s(guard, credential=mine) == 0


def test_an_ipv6_host_is_one_address() -> None:
    guard = LoginGuard(Clock())
    for number in range(FREE_FAILURES["address"] + 1):
        assert delay_s(guard, f"2001:db8::{number:x}") == 0
    assert delay_s(guard, "2001:db8::ffff") > 0
    assert delay_s(guard, "2001:db8:0:1::1") == 0
    for number in range(FREE_FAILURES["address"] + 1):
        assert delay_s(guard, "::ffff:10.0.0.9" if number % 2 else "10.0.0.9") == 0
    assert delay_s(guard, "10.0.0.9") > 0
    assert delay_s(guard, "no address") == 0


def test_as_much_is_remembered_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_guard, "MAX_KEPT", 100)
    guard = LoginGuard(Clock())
    for _ in range(FREE_FAILURES["address"] + 1):
        delay_s(guard)
    for number in range(30):
        delay_s(guard, f"10.1.0.{number}")
    assert delay_s(guard) > 0
    for number in range(100):
        delay_s(guard, f"10.2.0.{number}")
    assert delay_s(guard) == 0
