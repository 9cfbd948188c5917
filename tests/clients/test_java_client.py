"""The Java client: its own tests, its examples and the shared fault script."""

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

pytestmark = [pytest.mark.slow, pytest.mark.clients]
CLIENT: Final = Path(__file__).parents[2] / "clients" / "java"
_TIMEOUT_S: Final = 300
_SHORT_LIVED: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options of a Java machine that is soon over."""
_CANNOT_BUILD: Final = (
    "Could not transfer",
    "Could not resolve",
    "was not found in",
    "Unknown host",
    "release version",
)


def _skip(reason: str) -> None:
    print(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs a class of examples and programs; builds the client first, and runs its own tests.

    Skips, saying why, without Maven and JDK 17 that can have the libraries.
    """
    maven, jdk = shutil.which("mvn"), shutil.which("javac")
    if maven is None or jdk is None:
        _skip("no Maven or no JDK on this machine")
    classpath = tmp_path_factory.mktemp("java") / "classpath"
    goals = ["test", "dependency:build-classpath", f"-Dmdep.outputFile={classpath}", "-Dmdep.includeScope=test"]
    done = subprocess.run(
        [str(maven), "--batch-mode", "--quiet", *goals],
        cwd=CLIENT,
        env={**os.environ, "MAVEN_OPTS": " ".join(_SHORT_LIVED)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode and any(words in said for words in _CANNOT_BUILD):
        _skip(f"the Java client cannot be built: {' '.join(said.split())[:300]}")
    assert done.returncode == 0, said
    libraries = classpath.read_text(encoding="utf-8").strip()
    classes = f"{CLIENT}/target/classes:{CLIENT}/target/test-classes:{libraries}"
    return ["java", *_SHORT_LIVED, "-cp", classes]


@pytest.fixture(scope="module")
def program(java: list[str]) -> Iterator[ClientProgram]:
    running = ClientProgram([*java, "FaultProgram"])
    yield running
    assert running.close() == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, program: ClientProgram, stage: Stage) -> None:
    FAULTS[fault](program, stage)


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, java: list[str], stage: Stage) -> None:
    check_example(name, [*java, name.title().replace("_", "")], stage)
