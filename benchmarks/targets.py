"""What the service is to reach, each as a ratio or a difference within one run.

Calls are compared for the same CPU time of the server, which is the rate of a core that nothing else disturbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.measuring import Reading

MOST_GROWTH: Final = 0.02
"""Of memory, during a soak: a share of what it is on average."""

Rows = Mapping[str, Reading]


@dataclass(frozen=True)
class Target:
    """One bound."""

    name: str
    value: Callable[[Rows], float]
    """Raises KeyError when a row was not measured."""
    relation: Literal["at least", "at most"]
    bound: float
    unit: str


@dataclass(frozen=True)
class Outcome:
    """A target beside what was measured."""

    target: Target
    value: float | None
    """`None`: its rows were not measured."""
    bound: float

    @property
    def is_met(self) -> bool | None:
        """Whether it is; `None` when it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.target.relation == "at least" else self.value <= self.bound


def times(row: str, other: str) -> Callable[[Rows], float]:
    """Calls of `row` for the CPU of one of `other`."""
    return lambda rows: rows[row].calls_per_cpu_s / rows[other].calls_per_cpu_s


def added(row: str, other: str) -> Callable[[Rows], float]:
    """Milliseconds at the median that `row` takes longer than `other`."""
    return lambda rows: rows[row].p50_ms - rows[other].p50_ms


TARGETS: Final[Sequence[Target]] = [
    Target(
        "HTTP, asking the provider, beside a LiteLLM proxy",
        times("rerankd HTTP, asking the provider", "LiteLLM proxy, asking the provider"),
        "at least",
        40,
        "x",
    ),
    Target(
        "latency added to a call of 4 documents, HTTP",
        added("rerankd HTTP, 4 documents", "provider itself, 4 documents"),
        "at most",
        0.6,
        "ms",
    ),
    Target(
        "the same beside what the compiled gateway adds",
        lambda rows: (
            added("rerankd HTTP, 4 documents", "provider itself, 4 documents")(rows)
            / added("compiled gateway, 4 documents", "provider itself, 4 documents")(rows)
        ),
        "at most",
        1,
        "x",
    ),
    Target(
        "gRPC, local/bm25, 4 documents, beside a bare echo",
        times("rerankd gRPC, local/bm25", "bare grpc.aio echo"),
        "at least",
        0.7,
        "x",
    ),
    Target(
        "gRPC, asking the provider, beside a bare echo",
        times("rerankd gRPC, asking the provider", "bare grpc.aio echo"),
        "at least",
        0.5,
        "x",
    ),
    Target(
        "item of BatchRerank beside a unary call",
        times("rerankd BatchRerank, local/bm25", "rerankd gRPC, local/bm25"),
        "at least",
        2,
        "x",
    ),
    Target(
        "latency added to a call of 1,000 documents, HTTP",
        added("rerankd HTTP, 1,000 documents", "provider itself, 1,000 documents"),
        "at most",
        4,
        "ms",
    ),
    Target(
        "CPU of 10,000 documents beside 1,000",
        times("rerankd HTTP, 1,000 documents", "rerankd HTTP, 10,000 documents in calls of 1,000"),
        "at most",
        11,
        "x",
    ),
    Target(
        "call with all 100 documents known beside one that asks for them",
        times("rerankd HTTP, all known", "rerankd HTTP, nothing known"),
        "at least",
        5,
        "x",
    ),
    Target(
        "calls a second of 2 workers beside 1, HTTP",
        lambda rows: rows["HTTP, 2 workers"].calls_per_s / rows["HTTP, 1 worker"].calls_per_s,
        "at least",
        1.8,
        "x",
    ),
    Target(
        "the same, for the CPU that each got",
        lambda rows: 2 * times("HTTP, 2 workers", "HTTP, 1 worker")(rows),
        "at least",
        1.8,
        "x",
    ),
    Target(
        "HTTP with log, metrics and traces of 10 % beside none of them",
        times("HTTP: metrics, log, traces of 10 %", "HTTP: nothing"),
        "at least",
        0.85,
        "x",
    ),
    Target(
        "gRPC with log, metrics and traces of 10 % beside none of them",
        times("gRPC: metrics, log, traces of 10 %", "gRPC: nothing"),
        "at least",
        0.85,
        "x",
    ),
]


def judge(rows: Rows) -> list[Outcome]:
    """Compare every target with the rows."""
    outcomes = []
    for target in TARGETS:
        try:
            value: float | None = target.value(rows)
        except KeyError:
            value = None
        outcomes.append(Outcome(target, value, target.bound))
    return outcomes
