"""Prints what calls cost beside what `budgets.toml` says; `--write` writes it there."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from tests.costs import budgets, work
from tests.costs.budgets import ALL, REPORTED, Readings
from tests.costs.counting import UnavailableError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(ALL), help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--write", action="store_true", help="write what was counted to budgets.toml")
    parser.add_argument("--functions", choices=[each.name for each in work.SCENARIOS], help="show where the work is")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - ALL.keys():
        parser.error(f"no such sections: {', '.join(unknown)}")
    console = Console(width=max(Console().width, 120))
    if arguments.functions:
        console.print(_functions(arguments.functions))
        return
    _, found = budgets.read()
    for name in arguments.sections:
        try:
            readings = ALL[name].measure()
        except UnavailableError as error:
            console.print(f"{name} cannot be counted: {error}")
            continue
        console.print(_comparison(name, readings, found.get(name, {})))
        found[name] = readings
    if arguments.write:
        budgets.write(found)
        console.print(f"written to {budgets.FILE}")


def _comparison(section: str, readings: Readings, budget: Readings) -> Table:
    known_as = "reference" if section in REPORTED else "budget"
    table = Table(title=section, title_justify="left")
    for heading in ("call", "count", "now", known_as, "change"):
        table.add_column(heading, justify="left" if heading in ("call", "count") else "right")
    for scenario, counts in readings.items():
        for name, value in counts.items():
            known = budget.get(scenario, {}).get(name)
            change = f"{value / known - 1:+.1%}" if known else ""
            table.add_row(scenario, name, f"{value:,.6g}", "" if known is None else f"{known:,.6g}", change)
    return table


def _functions(name: str) -> Table:
    scenario = next(each for each in work.SCENARIOS if each.name == name)
    functions = work.by_function(scenario)
    total = sum(instructions for instructions, _ in functions.values())
    table = Table(title=f"{scenario.meaning}: {total:,} instructions")
    for heading in ("instructions", "share", "calls", "function"):
        table.add_column(heading, justify="right" if heading != "function" else "left")
    for function, (instructions, calls) in sorted(functions.items(), key=lambda each: each[1], reverse=True)[:60]:
        table.add_row(f"{instructions:,}", f"{instructions / total:.1%}", f"{calls:,}", function)
    return table


if __name__ == "__main__":
    main()
