from __future__ import annotations

import time

import pytest

from rerankd.local.cascade.budget import Budget
from rerankd.local.onnx.costs import CostMeter


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_cost_follows_what_runs_take() -> None:
    meter = CostMeter(0.5, _Clock())
    assert meter.estimate_s(200) == pytest.approx(0.1)
    for _ in range(60):
        meter.observe(200, 0.2)
    assert meter.per_token_ms == pytest.approx(1, abs=0.01)


def test_a_busy_moment_is_forgotten_without_runs() -> None:
    clock = _Clock()
    meter = CostMeter(0.5, clock)
    for _ in range(60):
        meter.observe(200, 0.08)
    for _ in range(60):
        meter.observe(200, 0.4)
    assert meter.per_token_ms == pytest.approx(2, abs=0.01)
    clock.now_s += 30
    assert meter.per_token_ms == pytest.approx(0.4, abs=0.01)


def test_a_deadline_limits_both_modes() -> None:
    now_s = time.monotonic()
    assert Budget.start(mode="quality", budget_ms=1, deadline_s=None).end_s is None
    late = Budget.start(mode="quality", budget_ms=1, deadline_s=now_s + 5).end_s
    assert late == pytest.approx(now_s + 5, abs=0.1)
    early = Budget.start(mode="budget", budget_ms=500, deadline_s=now_s + 5).end_s
    assert early == pytest.approx(now_s + 0.5, abs=0.1)


def test_the_cross_encoder_keeps_its_share() -> None:
    budget = Budget(time.monotonic() + 1)
    scarce, plenty = budget.late_interaction_end_s(10, 2), budget.late_interaction_end_s(0.1, 2)
    assert scarce is not None
    assert plenty is not None
    assert scarce - time.monotonic() == pytest.approx(0.6, abs=0.05)
    assert plenty - time.monotonic() == pytest.approx(0.94, abs=0.05)
