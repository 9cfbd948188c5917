"""No call takes more memory, copies or system calls than `budgets.toml` allows; `make costs` shows what each takes."""

from __future__ import annotations

from functools import cache

import pytest

from tests.costs import budgets
from tests.costs.budgets import COUNTS, GATED, PYTHON, TOLERANCES, Readings
from tests.costs.counting import UnavailableError

pytestmark = pytest.mark.slow


@cache
def readings_of(section: str) -> Readings | UnavailableError:
    try:
        return GATED[section].measure()
    except UnavailableError as error:
        return error


@pytest.mark.parametrize(
    ("section", "scenario"),
    [(name, scenario.name) for name, section in GATED.items() for scenario in section.scenarios],
)
def test_no_call_costs_more_than_its_budget(section: str, scenario: str) -> None:
    python, budget = budgets.read()
    if section in budgets.OF_PYTHON and python != PYTHON:
        pytest.skip(f"the budgets are of Python {python}, this is {PYTHON}")
    readings = readings_of(section)
    if isinstance(readings, UnavailableError):
        pytest.skip(str(readings))
    allowed = {name: TOLERANCES[name].limit(value) for name, value in budget[section][scenario].items()}
    assert allowed.keys() == readings[scenario].keys()
    over = [
        f"{name} ({COUNTS[name]}): {value:,g}, at most {allowed[name]:,g}"
        for name, value in readings[scenario].items()
        if value > allowed[name]
    ]
    assert not over, f"{section}.{scenario} costs more than its budget: {'; '.join(over)}"
