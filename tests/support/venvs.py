"""Virtual environments for servers whose dependencies do not belong into ours; kept in `.venvs/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".venvs"
INSTALL_TIMEOUT_S = 600


def venv_of(name: str, *requirements: str) -> Path:
    """Return a virtual environment with `requirements` in it, made the first time it is asked for.

    Skips the test, saying why, where the registry cannot provide them.
    """
    folder = FOLDER / name
    finished = folder / ".installed"
    if finished.exists() and finished.read_text() == "\n".join(requirements):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    _run([*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements])
    finished.write_text("\n".join(requirements))
    return folder


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or "no reason given"
        reason = f"cannot install what this test runs: {said[-400:]}"
        print(reason)
        pytest.skip(reason)
