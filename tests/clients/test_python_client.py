"""The Python client: its examples and the shared fault script."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.clients.client_program import ClientProgram
from tests.clients.examples import OUTPUTS, PAGE, check_example
from tests.clients.fault_script import FAULTS, Stage
from tests.clients.table import HERE

pytestmark = [pytest.mark.slow, pytest.mark.clients]


@pytest.fixture(scope="module")
def program() -> Iterator[ClientProgram]:
    running = ClientProgram([sys.executable, str(HERE / "programs" / "own_python.py")])
    yield running
    assert running.close() == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, program: ClientProgram, stage: Stage) -> None:
    FAULTS[fault](program, stage)


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, stage: Stage) -> None:
    check_example(name, [sys.executable, "-W", "error", str(PAGE.parent / "python" / "examples" / f"{name}.py")], stage)
