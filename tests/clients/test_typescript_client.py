"""The TypeScript client: its own tests, its examples and the shared fault script."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.clients.client_program import ClientProgram
from tests.clients.examples import OUTPUTS, check_example
from tests.clients.fault_script import FAULTS, Stage
from tests.support.venvs import making, node_folder

pytestmark = [pytest.mark.slow, pytest.mark.clients]
CLIENT: Final = Path(__file__).parents[2] / "clients" / "typescript"
_SOURCES: Final = ("bench", "examples", "src", "test")
_MADE: Final = ("dist", "node_modules")
_TIMEOUT_S: Final = 300


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, compiled."""
    locked = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENT / name, locked)
    folder = node_folder("clients-typescript", locked)
    with making(folder):
        for name in (*_SOURCES, "dist"):
            shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns(*_MADE), dirs_exist_ok=True)
        run("npx", "--no-install", "tsc", folder=folder)
    return folder


def run(*command: str, folder: Path, **environment: str) -> str:
    """Run a command in the package's folder."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost", **environment},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(package: Path) -> Iterator[ClientProgram]:
    running = ClientProgram(["node", str(package / "dist" / "test" / "fault_program.js")])
    yield running
    assert running.close() == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, program: ClientProgram, stage: Stage) -> None:
    FAULTS[fault](program, stage)


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, package: Path, stage: Stage) -> None:
    check_example(name, ["node", str(package / "dist" / "examples" / f"{name}.js")], stage)


def test_own_tests(package: Path) -> None:
    tests = sorted(str(file) for file in (package / "dist" / "test").glob("*.test.js"))
    run("node", "--test", *tests, folder=package)


@pytest.mark.parametrize("entry", ["langchain", "services", "web"])
def test_other_entry(entry: str, package: Path, stage: Stage) -> None:
    server = stage.two_replicas()[0]
    urls = {"RERANKD_ADDRESS": server.grpc_address, "RERANKD_URL": server.http_url}
    run("node", "--test", str(package / "dist" / "test" / f"{entry}_checks.js"), folder=package, **urls)
