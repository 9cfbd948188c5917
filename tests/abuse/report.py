"""The figures of all drills as one table: printed after the tests, and written to `benchmarks/results/abuse.md`."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.abuse.raw import Outcome

FILE: Final = Path(__file__).parents[2] / "benchmarks" / "results" / "abuse.md"
_HEAD: Final = """\
Drills of `make test-abuse` against a server with default settings, {date}: {machine}. A prober makes
ten small calls a second over HTTP and as many over gRPC beside each; of so few calls p99 is nearly the longest.
"Before" is what was seen before there were bounds. A drill whose p99 is over its bound is repeated, at most twice:
other programs run on the machine too.

"""
_COLUMNS: Final = (
    "one caller sends",
    "before",
    "prober p99 ms, HTTP",
    "gRPC",
    "failed",
    "MB above rest",
    "the caller gets",
)
_CLOSED: Final = "closed"
_SILENT: Final = "nothing in time"
_MOST_CHARS: Final = 120


@dataclass(frozen=True)
class Row:
    """What one drill saw."""

    name: str
    before: str
    http_p99_ms: float
    grpc_p99_ms: float
    calls: int
    failed: int
    rss_mb: float
    result: Any
    """What the attack returned."""


def markdown(rows: list[Row]) -> str:
    """Return the table of some drills."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    lines += [
        f"| {row.name} | {row.before} | {row.http_p99_ms:.0f} | {row.grpc_p99_ms:.0f} | {row.failed} of {row.calls} "
        f"| {row.rss_mb:.0f} | {told(row.result)} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def write(rows: list[Row]) -> None:
    """Write the table with its date and machine."""
    load = os.getloadavg()[1]
    machine = f"{os.cpu_count()} cores, load average {load:.1f}, Python {platform.python_version()}"
    head = _HEAD.format(date=datetime.now(UTC).strftime("%Y-%m-%d"), machine=machine)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(head + markdown(rows), encoding="utf-8")


def told(result: Any) -> str:
    """Say in a line what the attack got."""
    if isinstance(result, Outcome):
        return _clean(_answer(result))
    if isinstance(result, list) and all(each is None or isinstance(each, Outcome) for each in result):
        counted = Counter(_status(each) for each in result)
        return _clean(", ".join(f"{count} x {status}" for status, count in counted.most_common()))
    if isinstance(result, set):
        return _clean(", ".join(" ".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in result))
    if isinstance(result, tuple):
        return _clean(": ".join(map(str, result)))
    if isinstance(result, dict) and all(isinstance(each, Outcome) for each in result.values()):
        return told(list(result.values()))
    if isinstance(result, dict):
        return _clean(", ".join(f"{value} x {key}" for key, value in result.items()))
    return _clean(str(result))


def _answer(outcome: Outcome) -> str:
    return f"{outcome.status}: {outcome.message()}" if outcome.status >= 400 else _status(outcome)


def _status(outcome: Outcome | None) -> str:
    if outcome is None:
        return "no connection"
    return {0: _CLOSED, -1: _SILENT}.get(outcome.status, str(outcome.status))


def _clean(text: str) -> str:
    text = text.replace("|", "/").replace("\n", " ")
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "..."
