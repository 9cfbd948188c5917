"""Runs tools of other languages, which not every machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SAID: Final = 400


class ToolchainMissingError(Exception):
    """What a generator needs is not on this machine, and cannot be had; the message says what."""


def run_tool(command: Sequence[str], folder: Path, **environment: str) -> None:
    """Run a program of a toolchain.

    Args:
        command: The program, by name, and its arguments.
        folder: Where it runs.
        **environment: Variables on top of this process's.

    Raises:
        ToolchainMissingError: It is not there, or fails; it may be too old, or want what cannot be fetched.
    """
    program = shutil.which(command[0])
    if program is None:
        raise ToolchainMissingError(f"there is no `{command[0]}` on this machine")
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-_SAID:]
        raise ToolchainMissingError(f"`{' '.join(command[:3])}` failed: {said}")
