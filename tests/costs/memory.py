"""Python's memory for a call: held at once, left behind, and left to the garbage collector."""

from __future__ import annotations

import time

from rerankd.telemetry.calls.deferred import DELAY_S
from tests.costs.counting import CountedServer, provider, settings
from tests.costs.scenarios import SMALL, Call, Scenario

SCENARIOS = SMALL
_ROUNDS = 7
_REPEATS = 50
_REPEATED_ROUNDS = 3


def measure() -> dict[str, dict[str, float]]:
    """Count the memory of a call, by scenario."""
    with provider() as upstream, CountedServer("memory", settings(upstream)) as server:
        return {scenario.name: _memory(server, scenario) for scenario in SCENARIOS}


def _memory(server: CountedServer, scenario: Scenario) -> dict[str, float]:
    call = scenario.prepare(server.callers)
    _repeat(call)
    single = [server.count(call) for _ in range(_ROUNDS)]
    repeated = [server.count(lambda: _repeat(call)) for _ in range(_REPEATED_ROUNDS)]
    return {
        "peak_bytes": min(each["peak_bytes"] for each in single),
        "kept_blocks": max(min(each["kept_blocks"] for each in repeated) / _REPEATS, 0.0),
        "cyclic_objects": min(each["cyclic_objects"] for each in repeated) / _REPEATS,
    }


def _repeat(call: Call) -> None:
    for _ in range(_REPEATS):
        call()
    time.sleep(2 * DELAY_S)  # until telemetry has let go of the last calls
