"""The five examples that each client has, what they print, and the check of one of them against real servers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.clients.fault_script import Stage, target_of

PAGE: Final = Path(__file__).parents[2] / "clients" / "examples.md"
OUTPUTS: Final[dict[str, str]] = dict(
    re.findall(r"^## (\w+)$.*?^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)
"""What each example prints, by its name."""
BALANCED: Final = "balanced_channel"
_TIMEOUT_S: Final = 60


def check_example(name: str, command: Sequence[str], stage: Stage) -> None:
    """Run an example against two replicas, of which all but the balanced one use the first, and compare what it prints.

    That both replicas get calls is shown by `fault_script.not_serving`.
    """
    addresses = [replica.grpc_address for replica in stage.two_replicas()]
    done = subprocess.run(
        command,
        env={
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1,localhost",
            "RERANKD_ADDRESS": target_of(*addresses) if name == BALANCED else addresses[0],
        },
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == OUTPUTS[name]
