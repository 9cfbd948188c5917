"""What a call may cost: `budgets.toml`, written by `make costs ARGS=--write`."""

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


@dataclass(frozen=True)
class Count:
    """Something that is counted of a call."""

    meaning: str
    factor: float
    """Share of the budget that is let pass: what repeated measurements differ by, and little more."""
    slack: float = 0.0
    """Let pass on top of that."""

    def limit(self, budget: float) -> float:
        """Return the most that is let pass."""
        return budget * self.factor + self.slack


COUNTS: Final = {
    "instructions": Count("bytecode instructions that are executed", 1.03),
    "calls": Count("functions that are called, of Python and of C, and coroutines that are resumed", 1.03, 3),
    "peak_bytes": Count("bytes of Python's objects that are held at once", 1.08, 1024),
    "kept_blocks": Count("blocks of Python's memory that stay behind", 1.0, 3),
    "cyclic_objects": Count("objects that only the garbage collector can free", 1.0, 0.5),
    "peak_documents": Count("memory that is held at once, in sizes of the documents", 1.0, 0.15),
    "writes": Count("system calls that write to a file, a socket or an event", 1.05, 1),
    "system_calls": Count("all system calls but the waits", 1.05, 2),
    "waits": Count("system calls that wait for a lock or an event", 1.5, 5),
}


@dataclass(frozen=True)
class Section:
    """Counts that are taken together."""

    scenarios: Sequence[Scenario]
    measure: Callable[[], Readings]


SECTIONS: Final = {
    "work": Section(work.SCENARIOS, work.measure),
    "traced": Section(work.TRACED, work.measure_traced),
    "memory": Section(memory.SCENARIOS, memory.measure),
    "copies": Section(copies.SCENARIOS, copies.measure),
    "system_calls": Section(system_calls.SCENARIOS, system_calls.measure),
}
OF_PYTHON: Final = frozenset({"work", "traced", "memory"})
"""Sections whose counts are other ones in other versions of Python."""


def read() -> tuple[str, dict[str, Readings]]:
    """Return the version of Python that the budgets are for, and the budgets by section."""
    found = tomllib.loads(FILE.read_text())
    return found.pop("python"), found


def write(budgets: Mapping[str, Readings]) -> None:
    """Write budgets, each with what it means."""
    lines = [
        "# What one call may cost the server. `make costs` shows what it costs, and with ARGS=--write writes it here.",
        f'python = "{PYTHON}" # the version that {", ".join(sorted(OF_PYTHON))} were counted with',
    ]
    for name, section in SECTIONS.items():
        for scenario in section.scenarios:
            lines += ["", f"[{name}.{scenario.name}] # {scenario.meaning}"]
            for count, value in budgets.get(name, {}).get(scenario.name, {}).items():
                lines.append(f"{count} = {rounded(value):g} # {COUNTS[count].meaning}")
    FILE.write_text("\n".join([*lines, ""]))


def rounded(value: float) -> float:
    """Round to two places, which is what counts a call are known to."""
    return round(value, 2)
