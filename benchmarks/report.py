"""What a run is written down as: tables on the terminal, JSON, and Markdown for the README."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import timeit
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Pace, Reading, Start
from benchmarks.stages import Stage
from benchmarks.targets import Outcome
from tests.support.litellm_proxy import LITELLM

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
LIBRARIES: Final = (
    "grpcio",
    "protobuf",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "opentelemetry-sdk",
    "prometheus-client",
)
TOOLS: Final = {
    "nginx": ("nginx", "-v"),
    "wrk": ("wrk", "-v"),
    "h2load": ("h2load", "--version"),
    "go": ("go", "version"),
}


@dataclass
class Run:
    """Everything that one run measured."""

    pace: Pace
    machine: Mapping[str, Any]
    rows: dict[str, dict[str, Reading]] = field(default_factory=dict)
    """Readings by row, by stage."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why rows are missing."""
    starts: dict[str, Start] = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()

    def all_rows(self) -> dict[str, Reading]:
        """Return the readings of all stages."""
        return {name: reading for rows in self.rows.values() for name, reading in rows.items()}


def describe_machine() -> dict[str, Any]:
    """Say what the figures were measured on: no names of hosts or folders."""
    memory_kb = int(_found(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text()))
    return {
        "cpu": _found(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kb / 1024**2),
        "kernel": platform.release(),
        "load_average_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "python_round_ns": python_round_ns(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES} | dict([LITELLM.split("==")]),
        "tools": {name: _version(command) for name, command in TOOLS.items()},
        "commit": _git("rev-parse", "--short=10", "HEAD")
        + ("+changes" if _git("status", "--porcelain", "-uno") else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def python_round_ns() -> float:
    """Time a round of a plain loop, nanoseconds: builds of one version of Python differ by more than a half.

    Those of distributions are optimised by a profile (`--enable-optimizations`); one compiled by hand often is not.
    """
    rounds = 100_000
    found = timeit.repeat("d[i & 63] = i, str(i)", "d, i = {}, 700", number=rounds, repeat=7)
    return round(min(found) / rounds * 1e9, 1)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else "unknown"


def _version(command: Sequence[str]) -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/go/bin"])
    program = shutil.which(command[0], path=path)
    if program is None:
        return "none"
    said = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    return _found(r"(\d+\.\d+(?:\.\d+)?)", said.stdout + said.stderr)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


HEADINGS: Final = ("calls/s", "CPU us/call", "p50 ms", "p99 ms", "cores", "MB")
COMPARISONS: Final = {"calls": ("for the same CPU",), "latency": ("added p50 ms", "added p99 ms")}


def cells(stage: Stage, rows: Mapping[str, Reading]) -> Iterable[tuple[str, ...]]:
    """Make the cells of a stage's rows, as `HEADINGS` and the stage's `COMPARISONS` name them."""
    for case in stage.cases:
        if case.name not in rows:
            continue
        row, other = rows[case.name], rows.get(case.beside)
        figures = [
            f"{row.calls_per_s:,.0f}",
            f"{row.cpu_us:,.0f}",
            f"{row.p50_ms:,.2f}",
            f"{row.p99_ms:,.2f}",
            f"{row.cores:.2f}",
            f"{row.rss_mb:,.0f}",
        ]
        if stage.compares == "latency":
            compared = [f"{row.p50_ms - other.p50_ms:,.2f}", f"{row.p99_ms - other.p99_ms:,.2f}"] if other else ["", ""]
        else:
            compared = [f"{row.calls_per_cpu_s / other.calls_per_cpu_s:.2f} x" if other else ""]
        yield (case.name, *figures, *compared)


def show_stage(stage: Stage, run: Run, console: Console) -> None:
    """Print one table."""
    table = Table("", title=stage.title, title_justify="left")
    for heading in (*HEADINGS, *COMPARISONS[stage.compares]):
        table.add_column(heading, justify="right")
    for row in cells(stage, run.rows[stage.name]):
        table.add_row(*row)
    console.print(table)


def show_starts(run: Run, console: Console) -> None:
    """Print how long servers take until they are ready."""
    table = Table("", title="from start to ready, on one core")
    for heading in ("s", "MB before the first call"):
        table.add_column(heading, justify="right")
    for name, start in run.starts.items():
        table.add_row(name, f"{start.start_s:.2f}", f"{start.rss_mb:,.0f}")
    console.print(table)


def target_cells(outcomes: Sequence[Outcome]) -> Iterable[tuple[str, str, str, str]]:
    """Make the cells of the table of targets: name, bound, value, whether it is met."""
    words = {True: "met", False: "missed", None: "not measured"}
    for outcome in outcomes:
        target = outcome.target
        value = "" if outcome.value is None else f"{outcome.value:.2f} {target.unit}"
        yield target.name, f"{target.relation} {outcome.bound:g} {target.unit}", value, words[outcome.is_met]


def show_targets(run: Run, console: Console) -> None:
    """Print the table of targets, and why rows are missing."""
    styles = {"met": "green", "missed": "red"}
    table = Table("target", "bound", "measured", "", title="targets")
    measured = [outcome for outcome in run.outcomes if outcome.value is not None]
    for row in target_cells(measured):
        table.add_row(*row, style=styles[row[-1]])
    if measured:
        console.print(table)
    for reason in dict.fromkeys(run.missing.values()):
        rows = ", ".join(name for name, why in run.missing.items() if why == reason)
        console.print(f"left out: {rows}: {reason}", style="yellow", markup=False)


def markdown(run: Run, stages: Sequence[Stage]) -> str:
    """Make the summary for the README."""
    machine = run.machine
    lines = [
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']},"
        f" Python {machine['python']} ({machine['python_round_ns']:.0f} ns a round of a plain loop),"
        f" grpcio {machine['libraries']['grpcio']}, commit {machine['commit']},"
        f" {machine['date']}; load average before: {machine['load_average_before']}. The server on one core, load and"
        f" provider on the other; the best of {run.pace.rounds} rounds of {run.pace.seconds} s.",
        "",
        "| target | bound | measured | |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in target_cells(run.outcomes)),
    ]
    for stage in stages:
        headings = ("", *HEADINGS, *COMPARISONS[stage.compares])
        lines += ["", f"{stage.title}:", "", f"| {' | '.join(headings)} |", "| --- |" + " ---: |" * (len(headings) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in cells(stage, run.rows[stage.name])]
    if run.starts:
        lines += ["", "| from start to ready | s | MB |", "| --- | ---: | ---: |"]
        lines += [f"| {name} | {start.start_s:.2f} | {start.rss_mb:,.0f} |" for name, start in run.starts.items()]
    return "\n".join(lines) + "\n"


def write(run: Run, stages: Sequence[Stage], folder: Path = RESULTS) -> Path:
    """Write a run as JSON and Markdown; return the path of the JSON."""
    path = folder / f"{run.machine['date']}-{run.machine['commit']}.json"
    outcomes = [
        {
            "target": outcome.target.name,
            "relation": outcome.target.relation,
            "bound": outcome.bound,
            "unit": outcome.target.unit,
            "value": outcome.value,
            "is_met": outcome.is_met,
        }
        for outcome in run.outcomes
    ]
    content = {
        "machine": run.machine,
        "pace": asdict(run.pace),
        "targets": outcomes,
        "stages": {
            stage: {name: asdict(reading) for name, reading in rows.items()} for stage, rows in run.rows.items()
        },
        "starts": {name: asdict(start) for name, start in run.starts.items()},
        "missing": run.missing,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(run, stages))
    return path
