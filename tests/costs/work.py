"""Python's work for a call: bytecode instructions executed, and functions called. Reported, not gated."""

from __future__ import annotations

from typing import Any

from tests.costs.counting import CountedServer, provider, settings
from tests.costs.scenarios import BM25, DOCUMENTS, GRPC_CHUNKS, SMALL, Scenario, by_grpc, traceparent
from tests.support.collector import Collector

SCENARIOS = (*SMALL, GRPC_CHUNKS)
TRACED = (
    Scenario(
        "unsampled",
        "as work.grpc_bm25, traces exported but for this one's",
        by_grpc(BM25, DOCUMENTS, traceparent(1, is_sampled=False)),
    ),
    Scenario(
        "sampled",
        "as work.grpc_bm25, its trace exported; without the exporter's own thread",
        by_grpc(BM25, DOCUMENTS, traceparent(2, is_sampled=True)),
    ),
)
_ROUNDS = 3
_COUNTS = ("instructions", "calls")


def measure() -> dict[str, dict[str, float]]:
    """Count the work of a call, by scenario."""
    with provider() as upstream, CountedServer("work", settings(upstream)) as server:
        return {scenario.name: least(server, scenario) for scenario in SCENARIOS}


def measure_traced() -> dict[str, dict[str, float]]:
    """Count the work of a call of a server that exports traces, by scenario."""
    with provider() as upstream, Collector() as collector:
        # What is slow is exported although it is not sampled, and to be counted makes a call slow.
        variables = settings(upstream) | collector.environment(RERANKD_TELEMETRY__SLOW_CALL_MS="0")
        with CountedServer("work", variables) as server:
            return {scenario.name: least(server, scenario) for scenario in TRACED}


def least(server: CountedServer, scenario: Scenario, rounds: int = _ROUNDS) -> dict[str, float]:
    """Return the least of each count over some calls.

    What comes on top of it is not the call's own: a message that came in two pieces, a task that runs by the clock.
    """
    counted = _count(server, scenario, rounds)
    return {name: min(each[name] for each in counted) for name in _COUNTS}


def by_function(scenario: Scenario) -> dict[str, tuple[int, int]]:
    """Return instructions and calls of each function in one call."""
    with provider() as upstream, CountedServer("work", settings(upstream)) as server:
        _count(server, scenario, _ROUNDS)
        instructions, calls = server.functions()
    return {name: (instructions.get(name, 0), calls.get(name, 0)) for name in {**instructions, **calls}}


def _count(server: CountedServer, scenario: Scenario, rounds: int) -> list[dict[str, Any]]:
    call = scenario.prepare(server.callers)
    call()
    call()
    return [server.count(call) for _ in range(rounds)]
