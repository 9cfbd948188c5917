"""Calls, and a prober beside them, while upstreams are broken: with default settings, then with recommended ones."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.fault_drills import CALLS_PER_S, COLUMNS, DRILLS, Column, Measured, measure
from benchmarks.report import RESULTS, ROOT, describe_machine

HEADINGS: Final = (
    "p99 ms before",
    "p50 ms",
    "p99 ms",
    "failed",
    "reached it",
    "upstream calls a call",
    "prober p99 ms, HTTP",
    "gRPC",
    "prober failed",
)
_MEANING: Final = f"""\
Every drill has a server of its own and {CALLS_PER_S} calls a second over HTTP; p99 is of the seconds before the
fault, then of those with it. "Reached it" counts calls that reached the broken upstreams. The prober makes ten calls a
second to `local/bm25` over HTTP and as many over gRPC, in a process of its own. A healthy upstream answers after 50 ms.
"""

Rows = dict[str, dict[str, Measured]]
"""Figures by drill, by name of the column."""


def cells(measured: Measured) -> list[str]:
    """Return the cells of `HEADINGS`."""
    return [
        f"{measured.healthy_p99_ms:.0f}",
        f"{measured.p50_ms:.0f}",
        f"{measured.p99_ms:.0f}",
        f"{measured.failed} of {measured.calls}",
        f"{measured.reached}",
        f"{measured.upstream_calls_per_call:.2f}",
        f"{measured.prober_p99_ms['http']:.0f}",
        f"{measured.prober_p99_ms['grpc']:.0f}",
        f"{measured.prober_failed} of {measured.prober_calls}",
    ]


def columns_of(rows: Rows) -> list[Column]:
    """Return the columns that were measured."""
    return [column for column in COLUMNS if any(column.name in by_column for by_column in rows.values())]


def show(rows: Rows, console: Console) -> None:
    """Print a table for each column."""
    for column in columns_of(rows):
        table = Table("drill", *HEADINGS, title=column.name)
        for drill, by_column in rows.items():
            if column.name in by_column:
                table.add_row(drill, *cells(by_column[column.name]))
        console.print(table)


def markdown(rows: Rows, machine: Mapping[str, Any]) -> str:
    """Return the tables with their machine."""
    told = (
        f"`make bench-faults`, {machine['date']}, commit {machine['commit']}: {machine['cores']} cores of"
        f" {machine['cpu']}, Python {machine['python']}; load average before {machine['load_average_before']}, of other"
        f" programs.\n\n{_MEANING}"
    )
    parts = [told]
    for column in columns_of(rows):
        lines = [
            f"With {column.name}:",
            "",
            f"| drill | {' | '.join(HEADINGS)} |",
            "| --- |" + " ---: |" * len(HEADINGS),
        ]
        lines += [
            f"| {drill} | {' | '.join(cells(by_column[column.name]))} |"
            for drill, by_column in rows.items()
            if column.name in by_column
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write(rows: Rows, machine: Mapping[str, Any]) -> Path:
    """Write a run as JSON and Markdown; return the path of the JSON."""
    path = RESULTS / f"faults-{machine['date']}-{machine['commit']}.json"
    figures = {drill: {name: asdict(each) for name, each in columns.items()} for drill, columns in rows.items()}
    path.write_text(json.dumps({"machine": machine, "drills": figures}, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(rows, machine))
    return path


async def measure_all(
    drills: Sequence[str], columns: Sequence[Column], healthy_s: float, broken_s: float, console: Console
) -> Rows:
    """Measure the drills one after the other."""
    rows: Rows = {}
    for name in drills:
        for column in columns:
            measured = await measure(DRILLS[name], column, healthy_s=healthy_s, broken_s=broken_s)
            rows.setdefault(name, {})[column.name] = measured
            console.print(f"{name}, {column.name}: {measured.p99_ms:.0f} ms, {measured.failed} failed", markup=False)
    return rows


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench-faults", description=__doc__)
    parser.add_argument("--drill", default="", metavar="TEXT", help="only drills whose name holds this")
    parser.add_argument("--default-only", action="store_true", help="only with default settings")
    parser.add_argument("--healthy-s", type=float, default=3.0)
    parser.add_argument("--broken-s", type=float, default=8.0)
    parser.add_argument("--write", action="store_true", help="write JSON and Markdown (default: when all is measured)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console, machine = Console(width=180), describe_machine()
    names = [name for name in DRILLS if arguments.drill in name]
    columns = COLUMNS[:1] if arguments.default_only else COLUMNS
    rows = asyncio.run(measure_all(names, columns, arguments.healthy_s, arguments.broken_s, console))
    show(rows, console)
    if arguments.write or (len(names) == len(DRILLS) and len(columns) == len(COLUMNS)):
        console.print(f"written: {write(rows, machine).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
