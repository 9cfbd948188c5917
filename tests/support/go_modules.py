"""Files of published Go modules, each module checked against its hash; kept in `.venvs/`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.authorities import MACHINE
from tests.support.venvs import FOLDER, making

_TIMEOUT_S: Final = 300


class ModuleFile(NamedTuple):
    """Where a file is."""

    module: str
    """Go module and version."""
    hash: str
    """Of the module, as in go.sum."""
    path: str
    """Of the file in the module."""


def fetched(wanted: ModuleFile) -> Path:
    """Return the file; skips the test, saying why, where it cannot be had."""
    folder = FOLDER / "go-modules" / wanted.module.replace("/", "_")
    file = folder / Path(wanted.path).name
    with making(FOLDER / "go-modules"):
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_module(wanted) / wanted.path, file)
    return file


def _module(wanted: ModuleFile) -> Path:
    go = shutil.which("go")
    if go is None:
        _skip("no Go on this machine, with which schemas are fetched")
    command = [str(go), "mod", "download", "-json", wanted.module]
    done = subprocess.run(
        command, cwd=FOLDER, env=MACHINE, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        _skip(f"cannot fetch {wanted.module}: {' '.join((done.stdout + done.stderr).split())[-300:]}")
    found = json.loads(done.stdout)
    assert found["Sum"] == wanted.hash, f"{wanted.module} is not what was pinned"
    return Path(found["Dir"])


def _skip(reason: str) -> None:
    print(reason)
    pytest.skip(reason)
