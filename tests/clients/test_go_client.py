"""The Go client: its own tests, its examples and the shared fault script."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.clients.client_program import ClientProgram
from tests.clients.examples import OUTPUTS, check_example
from tests.clients.fault_script import FAULTS, Stage
from tests.support.authorities import MACHINE

pytestmark = [pytest.mark.slow, pytest.mark.clients]
CLIENT: Final = Path(__file__).parents[2] / "clients" / "go"
_TIMEOUT_S: Final = 300


def go(*arguments: str) -> str:
    """Run Go in the client's folder; skips the test, saying why, without a Go that can have its modules."""
    program = shutil.which("go")
    if program is None:
        _skip("no Go on this machine")
    done = subprocess.run(
        [str(program), *arguments],
        cwd=CLIENT,
        env=MACHINE,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if "no such host" in said or "dial tcp" in said or "requires go >=" in said:
        _skip(f"the Go client cannot be built: {' '.join(said.split())[-300:]}")
    assert done.returncode == 0, said
    return said


def _skip(reason: str) -> None:
    print(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the fault program and the examples."""
    folder = tmp_path_factory.mktemp("go")
    go("build", "-o", f"{folder}/", "./internal/faultprogram", "./examples/...")
    return folder


@pytest.fixture(scope="module")
def program(programs: Path) -> Iterator[ClientProgram]:
    running = ClientProgram([str(programs / "faultprogram")])
    yield running
    assert running.close() == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, program: ClientProgram, stage: Stage) -> None:
    FAULTS[fault](program, stage)


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, programs: Path, stage: Stage) -> None:
    check_example(name, [str(programs / name)], stage)


def test_own_tests() -> None:
    go("vet", "./...")
    go("test", "./...")
    formatted = subprocess.run(["gofmt", "-l", "."], cwd=CLIENT, capture_output=True, text=True, check=True)
    assert formatted.stdout == ""
