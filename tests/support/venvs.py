"""Environments for servers and clients whose dependencies do not belong into ours; kept in `.venvs/`.

Made by one process at a time: the others of a parallel run wait for it, and find it made.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.authorities import MACHINE

FOLDER = Path(__file__).parents[2] / ".venvs"
INSTALL_TIMEOUT_S = 600


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Hold the right to make a folder; other processes wait. Ends with the process, however that ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.making").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def venv_of(name: str, *requirements: str) -> Path:
    """Return a virtual environment with `requirements` in it, made the first time it is asked for.

    Skips the test, saying why, where the registry cannot provide them.
    """
    return _venv(name, "\n".join(requirements), list(requirements))


def locked_venv(name: str, lock: Path, *options: str) -> Path:
    """Return a virtual environment with exactly what `lock` pins, every file checked against its hash; as `venv_of`.

    Args:
        name: Of its folder.
        lock: Requirements with hashes.
        options: For the installer.
    """
    return _venv(name, lock.read_text(encoding="utf-8"), ["--require-hashes", *options, "--requirement", str(lock)])


def node_folder(name: str, project: Path) -> Path:
    """Return a folder with what the `package-lock.json` in `project` pins installed; as `venv_of`."""
    folder = FOLDER / name
    finished = folder / ".installed"
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    lock = (project / "package-lock.json").read_text(encoding="utf-8")
    with making(folder):
        if finished.exists() and finished.read_text() == lock:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(project, folder)
        _run(["npm", "ci", "--ignore-scripts", "--no-progress", "--prefix", str(folder)])
        finished.write_text(lock)
    return folder


def _venv(name: str, content: str, arguments: list[str]) -> Path:
    folder = FOLDER / name
    finished = folder / ".installed"
    with making(folder):
        if finished.exists() and finished.read_text() == content:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *arguments])
        finished.write_text(content)
    return folder


def _run(command: list[str]) -> None:
    done = subprocess.run(command, env=MACHINE, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or "no reason given"
        reason = f"cannot install what this test runs: {said[-400:]}"
        print(reason)
        pytest.skip(reason)
