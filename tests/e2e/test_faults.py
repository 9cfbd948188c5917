"""One of three upstreams broken in every usual way, under load, over real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog

from rerankd.contract.errors import Reason
from tests.support.faults import COLUMNS, FAULTS, LATENCY_S, Outcome, measure, service

pytestmark = pytest.mark.slow

MEASUREMENTS = 3
"""Of the slowest calls; no call may fail in any. One stall of a shared machine is a hundredth of the calls."""
FEWEST_CALLS = 100
"""Of a percentile."""
LONGEST_COOLDOWN_S = 1.0
DETECTION_S = 1.0
"""`adaptive_timeout.min_s`: longer than three times the usual latency here."""
UNANSWERED = ("hangs", "stalls in the body", "dribbles a byte every 200 ms")
MOST_CAUGHT = 40
"""Calls that an upstream that hangs may catch: all 16 callers once, and again until its circuit breaker opens."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def _told(outcome: Outcome) -> str:
    return ", ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, outcome.row(), strict=True))


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_broken_upstream_fails_no_call_and_slows_few(fault: str) -> None:
    """With default settings and callers that set no deadline."""
    told = []
    for _ in range(MEASUREMENTS):
        outcome = await measure(fault, healthy_s=1.5, broken_s=2.5)
        told.append(_told(outcome))
        assert outcome.broken.failures == []
        assert outcome.broken.upstream_calls <= 1.2 * outcome.broken.calls + 100
        assert fault not in UNANSWERED or outcome.reached <= MOST_CAUGHT
        # The callers are as many as a limit catches at once: one limit is what they notice. What is above is this
        # machine's own, a tenth of a second on a busy one; one that is too busy for enough calls measures nothing.
        longest_s = 2 * outcome.healthy.percentile_s(0.99) + DETECTION_S + 2 * LATENCY_S
        if outcome.broken.calls > FEWEST_CALLS and outcome.broken.percentile_s(0.99) <= longest_s:
            return
    pytest.fail("\n".join(told))


async def test_hedges_hide_a_hanging_upstream() -> None:
    told = []
    for _ in range(MEASUREMENTS):
        outcome = await measure("hangs", healthy_s=1.5, broken_s=2.0, balancing="latency", hedge={"enabled": True})
        told.append(_told(outcome))
        assert outcome.broken.failures == []
        # A call that meets the fault takes its hedge delay, the 95th percentile of before, and then an ordinary call.
        if outcome.broken.percentile_s(0.99) <= 2 * outcome.healthy.percentile_s(0.99) + 2 * LATENCY_S:
            return
    pytest.fail("\n".join(told))


async def test_with_everything_down_calls_grow_by_the_budget_and_come_back() -> None:
    retries = {"budget": 0.1, "burst": 10, "min_per_s": 0, "initial_delay_ms": 1}
    async with service(retries=retries, cooldown={"failures": 0}) as opened:
        for upstream in opened.upstreams:
            upstream.fault = FAULTS["answers 503"]
        load = await opened.load(2.0)
        assert load.latencies_s == []
        assert load.calls > 20
        assert load.calls < load.upstream_calls <= 1.1 * load.calls + 10 + 1
        assert {failure.reason for failure in load.failures} == {Reason.PROVIDER_UNAVAILABLE}
        for upstream in opened.upstreams:
            upstream.fault = None
        assert (await opened.load(0.5)).failures == []


async def test_cooldowns_keep_traffic_from_upstreams_that_are_all_down() -> None:
    async with service(cooldown={"failures": 3, "initial_s": 0.2, "max_s": LONGEST_COOLDOWN_S}) as opened:
        for upstream in opened.upstreams:
            upstream.fault = FAULTS["answers 503"]
        load = await opened.load(2.0, concurrency=4)
        assert load.calls > FEWEST_CALLS
        assert load.upstream_calls < min(100, load.calls / 2)
        refused = [failure for failure in load.failures if failure.reason is Reason.NO_HEALTHY_DEPLOYMENT]
        assert len(refused) > 0.9 * load.calls
        assert all(failure.retry_after_s for failure in refused)
        for upstream in opened.upstreams:
            upstream.fault = None
        await asyncio.sleep(1.5 * LONGEST_COOLDOWN_S)
        assert (await opened.load(0.5)).failures == []
