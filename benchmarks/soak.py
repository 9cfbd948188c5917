"""Whether memory stays flat under full load: HTTP, gRPC and batches at once, with and without provider and cache.

Memory is read each second; the slope is that of a least-squares line through the readings after the warm-up, in which
the cache (made small for this) fills.

  make bench-soak ARGS="--minutes 10"
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, linear_regression

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import report
from benchmarks.drivers import Drivers, Load
from benchmarks.measuring import aim_of, prime
from benchmarks.processes import BenchmarkError, MissingToolError, Running
from benchmarks.servers import rerankd, surroundings
from benchmarks.stages import Case
from benchmarks.targets import MOST_GROWTH
from benchmarks.workloads import fresh, half_known, known

SAMPLE_S = 1.0
MIX = (
    Case("HTTP, asking the provider", "rerankd", "http", fresh(4), "rank-4", 8),
    Case("HTTP, half known", "rerankd", "http", half_known(100), "rank-50", 4, primer=known(50)),
    Case("HTTP, all known", "rerankd", "http", known(100), "rank-100", 4),
    Case("gRPC, local/bm25", "rerankd", "grpc", fresh(4), "local/bm25", 8),
    Case("gRPC, in calls of 100 documents", "rerankd", "grpc", fresh(1000), "split", 1),
    Case("BatchRerank, asking the provider", "rerankd", "batch", fresh(4), "rank-4", 16),
)


@dataclass(frozen=True)
class Memory:
    """Resident memory after the warm-up."""

    least_mb: float
    mean_mb: float
    most_mb: float
    slope_mb_per_minute: float
    slope_error_mb_per_minute: float
    """Standard error of the slope, as if the readings did not depend on each other."""
    minutes: float

    @property
    def growth(self) -> float:
        """What the slope adds up to, as a share of the mean."""
        return self.slope_mb_per_minute * self.minutes / self.mean_mb


def memory_of(samples: Sequence[tuple[float, float]]) -> Memory:
    """Fit a line through (seconds, MB)."""
    times_s, sizes_mb = zip(*samples, strict=True)
    slope, start = linear_regression(times_s, sizes_mb)
    squares = sum((size - start - slope * time_s) ** 2 for time_s, size in samples)
    middle_s = fmean(times_s)
    spread = sum((time_s - middle_s) ** 2 for time_s in times_s)
    error = math.sqrt(squares / (len(samples) - 2) / spread)
    minutes = (times_s[-1] - times_s[0]) / 60
    return Memory(min(sizes_mb), fmean(sizes_mb), max(sizes_mb), slope * 60, error * 60, minutes)


def soak(
    server: Running, drivers: Drivers, seconds: int, progress: Progress
) -> tuple[list[tuple[float, float]], list[Load]]:
    """Load a server with the whole mix; return (seconds, MB) for each second, and what each load saw."""
    samples = []
    with ThreadPoolExecutor(len(MIX)) as pool:
        loads: list[Future[Load]] = []
        for case in MIX:
            if case.primer:
                prime(server, case.model, case.primer)
            loads.append(pool.submit(drivers.drive, case.driver, aim_of(case, server, seconds)))
        began_s = time.monotonic()
        task = progress.add_task("soak", total=seconds)
        while not all(load.done() for load in loads):
            time.sleep(SAMPLE_S)
            took_s = time.monotonic() - began_s
            samples.append((took_s, server.rss_mb()))
            progress.update(task, completed=took_s, description=f"{samples[-1][1]:,.0f} MB")
            if failed := [load for load in loads if load.done() and load.exception()]:
                raise BenchmarkError(f"the load failed after {took_s:.0f} s: {failed[0].exception()}")
    return [sample for sample in samples if sample[0] <= seconds], [load.result() for load in loads]


def show(memory: Memory, loads: Sequence[Load], console: Console) -> None:
    table = Table("load", title="full load of one core")
    for heading in ("calls", "calls/s", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for case, load in zip(MIX, loads, strict=True):
        rate = load.calls / load.seconds
        table.add_row(case.name, f"{load.calls:,}", f"{rate:,.0f}", f"{load.p50_ms:,.1f}", f"{load.p99_ms:,.1f}")
    console.print(table)
    verdict = "met" if memory.growth <= MOST_GROWTH else "missed"
    console.print(
        f"memory over {memory.minutes:.1f} minutes: {memory.least_mb:,.1f} to {memory.most_mb:,.1f} MB, mean"
        f" {memory.mean_mb:,.1f}; slope {memory.slope_mb_per_minute:+.3f} MB a minute (standard error"
        f" {memory.slope_error_mb_per_minute:.3f}), {memory.growth:+.2%} of the mean in that time (target: at most"
        f" {MOST_GROWTH:.0%}): {verdict}"
    )


def run(arguments: argparse.Namespace, console: Console) -> bool:
    """Soak; return whether memory stayed flat."""
    machine = report.describe_machine()
    seconds, warmup_s = round(arguments.minutes * 60), arguments.warmup_minutes * 60
    cores = os.sched_getaffinity(0)
    load_cores = cores - {arguments.core} or cores
    os.sched_setaffinity(0, load_cores)
    with (
        tempfile.TemporaryDirectory(prefix="rerankd-soak-") as folder,
        surroundings(Path(folder), {arguments.core}, load_cores) as setup,
        rerankd(settings={"cache": {"max_mb": arguments.cache_mb}})(setup) as server,
        Progress(console=console, transient=True) as progress,
    ):
        server.settle()
        samples, loads = soak(server, Drivers(Path(folder)), seconds, progress)
    memory = memory_of([sample for sample in samples if sample[0] >= warmup_s])
    show(memory, loads, console)
    report.RESULTS.mkdir(parents=True, exist_ok=True)
    path = report.RESULTS / f"soak-{machine['date']}-{machine['commit']}.json"
    rates = {case.name: load.calls / load.seconds for case, load in zip(MIX, loads, strict=True)}
    content = {"machine": machine, "memory": asdict(memory), "growth": memory.growth, "calls_per_s": rates}
    content["samples_mb"] = [round(size, 1) for _, size in samples]
    path.write_text(json.dumps(content, indent=1) + "\n")
    console.print(f"written: {path.relative_to(report.ROOT)}")
    return memory.growth <= MOST_GROWTH


def main() -> None:
    """Soak as the command line says; the exit code is 1 when memory grew."""
    parser = argparse.ArgumentParser(
        prog="make bench-soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warmup-minutes", type=float, help="not looked at (default: a third)")
    parser.add_argument("--cache-mb", type=int, default=8, help="cache.max_mb; full after a minute or two")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="core of the server")
    arguments = parser.parse_args()
    if arguments.warmup_minutes is None:
        arguments.warmup_minutes = arguments.minutes / 3
    try:
        is_flat = run(arguments, Console(width=max(140, Console().width)))
    except (MissingToolError, BenchmarkError) as error:
        raise SystemExit(str(error)) from None
    raise SystemExit(not is_flat)


if __name__ == "__main__":
    main()
