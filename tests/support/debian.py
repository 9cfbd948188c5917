"""Programs of Debian's packages, unpacked into `.venvs/`, for which no privileges are needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.venvs import making

FOLDER = Path(__file__).parents[2] / ".venvs" / "debian"
_TIMEOUT_S = 300


def debian_program(name: str, packages: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the path of a program and the environment it runs in: the one on PATH, else that of Debian's packages.

    Args:
        name: Of the program.
        packages: The program's, and those of its libraries that are not on every machine.
    """
    if installed := shutil.which(name):
        return installed, dict(os.environ)
    folder = FOLDER.with_name(f"debian-{packages[0]}")
    program = folder / "usr" / "bin" / name
    with making(folder):
        if not program.exists():
            _unpack(name, packages, folder)
    libraries = ":".join(str(each) for each in (folder / "usr" / "lib").glob("*-linux-gnu*"))
    return str(program), {**os.environ, "LD_LIBRARY_PATH": libraries}


def _unpack(name: str, packages: Sequence[str], folder: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise AssertionError(f"these tests need {name}: install it, it is not on PATH and this is no Debian")
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial", "packages", "root"):
        (unfinished / part).mkdir(parents=True)
    own_lists = [f"-oDir::State::lists={unfinished / 'lists'}", f"-oDir::Cache={unfinished / 'cache'}"]
    if _run(["apt-get", "download", *packages], unfinished / "packages"):
        _run(["apt-get", *own_lists, "update"], unfinished / "packages")
        if said := _run(["apt-get", *own_lists, "download", *packages], unfinished / "packages"):
            raise AssertionError(f"these tests need {name}; install it, it cannot be fetched: {said[-400:]}")
    for package in (unfinished / "packages").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(unfinished / "root")], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    (unfinished / "root").rename(folder)
    shutil.rmtree(unfinished)


def _run(command: list[str], folder: Path) -> str:
    """Run a command; return what it said where it failed, else nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return " ".join(done.stderr.split()) or "no reason given" if done.returncode else ""
