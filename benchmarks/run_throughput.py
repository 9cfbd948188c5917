"""What the run log costs in throughput: calls a second of a saturated server with and without it, in turn.

    .venv/bin/python -m benchmarks.run_throughput                       # some fifteen minutes
    .venv/bin/python -m benchmarks.run_throughput --rows gRPC --starts 3

One worker with default settings on one core, as `make bench` has it, load and a provider on the others. Both servers
run at once and take turns of some seconds, in turn the one and the other first. What counts is the median of what a
turn with the run log answers less than the one without in its round, and its quartiles: other programs slow the turns
of both. Of two servers that are started alike one may answer 5 % less, so both are started several times. CPU is that
of all threads. The log has `calls: all`; its other settings are the defaults.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.drivers import Drivers
from benchmarks.instructions import WIDTH
from benchmarks.measuring import aim_of
from benchmarks.processes import Running
from benchmarks.servers import Setup, rerankd, surroundings
from benchmarks.stages import Case
from benchmarks.workloads import Workload, fresh

_WORKLOAD: Final = fresh(4)
"""As most rows of `make bench` have it: 4 documents of 500 characters, new ones in each call, so no cache helps."""
_LONGER: Final = Workload(_WORKLOAD.query, [text + text[:60] for text in _WORKLOAD.documents])
"""Documents that are cut to `max_chars` and hashed."""
_RERANKER: Final = {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}
ROWS: Final = [
    Case("HTTP, local/bm25", "", "http", _WORKLOAD, "local/bm25"),
    Case("gRPC, local/bm25", "", "grpc", _WORKLOAD, "local/bm25"),
    Case("HTTP, a reranker of local/bm25", "", "http", _WORKLOAD, "a-reranker"),
    Case("HTTP, a provider's model", "", "http", _WORKLOAD, "rank-4"),
    Case("gRPC, a provider's model", "", "grpc", _WORKLOAD, "rank-4"),
    Case("HTTP, local/bm25, cut documents", "", "http", _LONGER, "local/bm25"),
    Case("HTTP, a provider's model, cut documents", "", "http", _LONGER, "rank-4"),
]
"""16 calls at once."""
CALLS: Final = ("none", "all")


class Turn(NamedTuple):
    """What was measured of one server once."""

    calls_per_s: float
    cpu_us: float
    """A call, of all threads."""


Found: TypeAlias = dict[str, dict[str, list[Turn]]]
"""Turns by row and by `runs.calls`."""


def measure(rows: Sequence[Case], given: argparse.Namespace) -> Found:
    """Start both servers and measure them in turns, several times."""
    found: Found = {row.name: {calls: [] for calls in CALLS} for row in rows}
    cores = os.sched_getaffinity(0)
    load_cores = cores - {given.core} or cores
    os.sched_setaffinity(0, load_cores)
    for _ in track(range(given.starts), "starts", console=Console(stderr=True)):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rerankd-bench-")))
            setup = stack.enter_context(surroundings(folder, {given.core}, load_cores))
            servers = {calls: stack.enter_context(_start(setup, calls)) for calls in CALLS}
            drivers = Drivers(folder)
            for number in range(given.rounds + 1):
                for row in rows:
                    for calls in CALLS if number % 2 else CALLS[::-1]:
                        turn = _turn(row, servers[calls], drivers, given.seconds if number else 1)
                        if number:  # the first one warms
                            found[row.name][calls].append(turn)
    return found


def _start(setup: Setup, calls: str) -> Any:
    settings = {
        "runs": {"calls": calls},
        "rerankers": {"a-reranker": _RERANKER},
        "store": {"state_dir": str(setup.new_folder())},
    }
    return rerankd(traces=0, settings=settings)(setup)


def _turn(row: Case, server: Running, drivers: Drivers, seconds: int) -> Turn:
    began_s = server.cpu_s()
    load = drivers.drive(row.driver, aim_of(row, server, seconds))
    server.settle()
    return Turn(load.calls / load.seconds, (server.cpu_s() - began_s) / load.calls * 1e6)


def table_of(found: Found) -> Table:
    """Make the table: medians of the turns, and of what the log costs in a round, with quartiles."""
    table = Table(title="throughput of one worker on one core")
    table.add_column("call, 4 documents")
    for name in ("calls/s without", "with", "less", "median (quartiles)", "CPU us without", "with", "more, median"):
        table.add_column(name, justify="right")
    for name, by_calls in found.items():
        bare, logged = by_calls["none"], by_calls["all"]
        rates = [[turn.calls_per_s for turn in turns] for turns in (bare, logged)]
        cpus = [[turn.cpu_us for turn in turns] for turns in (bare, logged)]
        medians = [statistics.median(each) for each in (*rates, *cpus)]
        less = [1 - new / old for old, new in zip(*rates, strict=True)]
        more = [new / old - 1 for old, new in zip(*cpus, strict=True)]
        table.add_row(
            name, f"{medians[0]:,.0f}", f"{medians[1]:,.0f}", f"{1 - medians[1] / medians[0]:.1%}", _spread(less),
            f"{medians[2]:.0f}", f"{medians[3]:.0f}", _spread(more),
        )  # fmt: skip
    return table


def _spread(ratios: Sequence[float]) -> str:
    ordered = sorted(ratios)
    quarter = len(ordered) // 4
    return f"{statistics.median(ordered):.1%} ({ordered[quarter]:.0%} to {ordered[-1 - quarter]:.0%})"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="text in the names of the rows to measure (default: all)")
    parser.add_argument("--seconds", type=int, default=2, help="of a turn, whole ones")
    parser.add_argument("--rounds", type=int, default=4, help="of a start")
    parser.add_argument("--starts", type=int, default=7, help="of both servers")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="core of the server")
    given = parser.parse_args()
    rows = [row for row in ROWS if given.rows in row.name]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table_of(measure(rows, given)))


if __name__ == "__main__":
    main()
