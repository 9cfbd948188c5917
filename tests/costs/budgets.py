"""What a call may cost, or did at last count: `budgets.toml`, written by `make costs ARGS=--write`."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.costs import copies, memory, system_calls, work
from tests.costs.scenarios import Scenario

FILE: Final = Path(__file__).with_name("budgets.toml")
PYTHON: Final = ".".join(platform.python_version_tuple()[:2])

Readings = Mapping[str, Mapping[str, float]]
"""Scenario: count: value."""


COUNTS: Final = {
    "instructions": "bytecode instructions executed",
    "calls": "functions called, of Python and of C, and coroutines resumed",
    "peak_bytes": "bytes of Python objects held at once",
    "kept_blocks": "blocks of Python memory kept after the call",
    "cyclic_objects": "objects that only the garbage collector can free",
    "peak_documents": "memory held at once, in sizes of the documents",
    "writes": "system calls that write to a file, a socket or an event",
    "system_calls": "all system calls but the waits",
    "waits": "system calls that wait for a lock or an event",
}
"""What is counted of a call."""


@dataclass(frozen=True)
class Tolerance:
    """How far a count may exceed its budget: what repeated measurements differ by, and little more."""

    factor: float
    slack: float

    def limit(self, budget: float) -> float:
        """Return the highest count that passes."""
        return budget * self.factor + self.slack


TOLERANCES: Final = {
    "peak_bytes": Tolerance(1.08, 1024),
    "kept_blocks": Tolerance(1.0, 3),
    "cyclic_objects": Tolerance(1.0, 0.5),
    "peak_documents": Tolerance(1.0, 0.15),
    "writes": Tolerance(1.05, 1),
    "system_calls": Tolerance(1.05, 2),
    "waits": Tolerance(1.5, 5),
}
"""Of the counts that are gates. Instructions and calls are reported only: they say where work is, not what it costs."""


@dataclass(frozen=True)
class Section:
    """Counts that are taken together."""

    scenarios: Sequence[Scenario]
    measure: Callable[[], Readings]


GATED: Final = {
    "memory": Section(memory.SCENARIOS, memory.measure),
    "copies": Section(copies.SCENARIOS, copies.measure),
    "system_calls": Section(system_calls.SCENARIOS, system_calls.measure),
}
"""Gates: `test_budgets` fails for a count over its budget."""
REPORTED: Final = {
    "work": Section(work.SCENARIOS, work.measure),
    "traced": Section(work.TRACED, work.measure_traced),
}
"""Shown by `make costs` beside the last count written; no test reads them."""
ALL: Final = {**REPORTED, **GATED}
OF_PYTHON: Final = frozenset({"work", "traced", "memory"})
"""Sections whose counts differ between versions of Python."""


def read() -> tuple[str, dict[str, Readings]]:
    """Return the version of Python that the budgets are for, and the budgets by section."""
    found = tomllib.loads(FILE.read_text())
    return found.pop("python"), found


def write(budgets: Mapping[str, Readings]) -> None:
    """Write budgets, each with what it means."""
    lines = [
        "# What one call costs the server, counted by `make costs`, written by `make costs ARGS=--write`.",
        f"# {' and '.join(REPORTED)} are for reference; the other sections are budgets, which tests hold calls to.",
        f'python = "{PYTHON}" # the version that {", ".join(sorted(OF_PYTHON))} were counted with',
    ]
    for name, section in ALL.items():
        for scenario in section.scenarios:
            lines += ["", f"[{name}.{scenario.name}] # {scenario.meaning}"]
            for count, value in budgets.get(name, {}).get(scenario.name, {}).items():
                lines.append(f"{count} = {rounded(value):g} # {COUNTS[count]}")
    FILE.write_text("\n".join([*lines, ""]))


def rounded(value: float) -> float:
    """Round to two places, which is what counts a call are known to."""
    return round(value, 2)
