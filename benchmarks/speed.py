"""How fast the service is beside its peers and the stack's own ceilings: ratios within one run on one machine.

Every server runs on one core; load, provider and collector on the other cores. CPU is the server's own, read from
/proc, and so does not depend on how fast the load is or what else the machine does. Rounds go from row to row; of each
row the best figures of all rounds are kept, of telemetry's the median of three times as many, each of new processes.

  make bench                                          everything, some 15 minutes
  make bench ARGS=--quick                             one short round of the most important tables, a good minute
  make bench ARGS="--only throughput --rows gRPC"     some rows, after a change
  make bench ARGS="--only telemetry --rounds 6"       more rounds, on a machine that does other things too
  make bench ARGS="--only local"                      embedded models beside other ways to run the same weights

Needs nginx and wrk; h2load and Go for the rows that use them: apt-get install nginx-light wrk nghttp2-client golang-go
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks import report
from benchmarks.drivers import Drivers
from benchmarks.measuring import Pace, measure, measure_starts
from benchmarks.processes import BenchmarkError, MissingToolError
from benchmarks.servers import Pool, surroundings
from benchmarks.stages import STAGES, STARTED, Stage
from benchmarks.targets import judge

QUICK = ("throughput", "latency", "cache")
START = "start"
LOCAL = "local"
LOCAL_MODULE = "benchmarks.local_inference"


def chosen_stages(only: Sequence[str], rows: str) -> list[Stage]:
    """Return the stages of these names, with the rows that hold a text and those they are compared with."""
    chosen = []
    for stage in STAGES:
        if stage.name in only:
            found = [case for case in stage.cases if rows.lower() in case.name.lower()]
            names = {name for case in found for name in (case.name, case.beside)}
            chosen.append(replace(stage, cases=[case for case in stage.cases if case.name in names]))
    return [stage for stage in chosen if stage.cases]


def run(arguments: argparse.Namespace, console: Console) -> report.Run:
    """Measure and print the tables."""
    stages = chosen_stages(arguments.only, arguments.rows)
    if not stages and not {START, LOCAL} & set(arguments.only):
        raise BenchmarkError(f"no row of {', '.join(arguments.only)} holds {arguments.rows!r}")
    pace = Pace(arguments.seconds, arguments.rounds)
    result = report.Run(pace, report.describe_machine())
    cores = os.sched_getaffinity(0)
    load_cores = cores - {arguments.core} or cores
    os.sched_setaffinity(0, load_cores)
    if len(cores) == 1:
        console.print(
            "one core only: the load shares it with the server; CPU a call still means something", style="red"
        )
    with (
        tempfile.TemporaryDirectory(prefix="rerankd-bench-") as folder,
        surroundings(Path(folder), {arguments.core}, load_cores) as setup,
    ):
        drivers = Drivers(Path(folder))
        with Pool(setup) as pool, Progress(console=console, transient=True) as progress:
            total = sum(len(stage.cases) * stage.more_rounds for stage in stages) * pace.rounds
            task = progress.add_task("", total=total)

            def tell(name: str) -> None:
                progress.update(task, advance=1, description=name)

            for stage in stages:
                result.rows[stage.name], missing = measure(stage, pool, drivers, pace, tell)
                result.missing |= missing
                report.show_stage(stage, result, console)
        if START in arguments.only:
            with console.status("starts") as status:
                result.starts = measure_starts(STARTED, setup, pace.rounds, status.update)
            report.show_starts(result, console)
    result.outcomes = judge(result.all_rows())
    report.show_targets(result, console)
    if arguments.write:
        path = report.write(result, stages)
        console.print(f"written: {path.relative_to(report.ROOT)} and {path.with_suffix('.md').name}")
    return result


def run_local() -> int:
    """Run the benchmark of the embedded models, which is a program of its own."""
    return subprocess.run([sys.executable, "-m", LOCAL_MODULE], check=False).returncode


def parse() -> argparse.Namespace:
    names = [*(stage.name for stage in STAGES), START, LOCAL]
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"table to measure, again for more: {', '.join(names)}",
    )
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows whose name holds this")
    parser.add_argument("--quick", action="store_true", help=f"1 round of 1 second of {', '.join(QUICK)}")
    parser.add_argument("--seconds", type=int, help="length of each measurement, whole seconds (default 2)")
    parser.add_argument("--rounds", type=int, help="measurements of each row (default 3)")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="core of the server")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write JSON and Markdown into benchmarks/results (default: when all is measured)",
    )
    arguments = parser.parse_args()
    is_whole = not (arguments.only or arguments.quick or arguments.rows)
    arguments.write = arguments.write or is_whole
    arguments.only = arguments.only or (QUICK if arguments.quick else [*names[:-1]])
    arguments.seconds = arguments.seconds or (1 if arguments.quick else 2)
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    return arguments


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parse()
    console = Console(width=max(140, Console().width))
    try:
        if set(arguments.only) != {LOCAL}:
            run(arguments, console)
        if LOCAL in arguments.only:
            raise SystemExit(run_local())
    except (MissingToolError, BenchmarkError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
