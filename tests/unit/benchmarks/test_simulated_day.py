"""The simulated day: time passes, faults come and go, and what it counts is what happened."""

from __future__ import annotations

import asyncio

from benchmarks.simulated_day import PEAK_PER_S, Day, Hour, rate_per_s
from tests.support.virtual_time import VirtualTimeLoop

SECONDS = 0.04


def hours() -> list[Hour]:
    found: list[Hour] = []

    async def run() -> None:
        await Day(SECONDS, None).run(lambda _hour, outcome, _day: found.append(outcome))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())
    return found


def test_the_day_has_its_peak_in_the_afternoon() -> None:
    rates = [rate_per_s(hour) for hour in range(24)]
    assert max(rates) == rates[14] == PEAK_PER_S
    assert min(rates) == rates[2] == PEAK_PER_S / 4


def test_every_call_is_counted() -> None:
    found = hours()
    assert len(found) == 24
    for hour, outcome in enumerate(found):
        expected = rate_per_s(hour) * SECONDS
        assert 0.5 * expected < len(outcome.latencies_s) < 1.5 * expected
    assert all(not outcome.failures for outcome in found[:8])
    assert found[20].sent_again > 0
    assert sum(outcome.sent_again for outcome in found) == found[20].sent_again
    assert not found[20].failures
