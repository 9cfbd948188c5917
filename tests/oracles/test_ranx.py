"""The recorded values of ranx are what ranx gives. `RECORD=1` writes them anew."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.venvs import locked_venv

HERE = Path(__file__).parent
RECORDED = HERE / "ranx_fusion.json"
CASES = 16
TIMEOUT_S = 900
"""ranx compiles for a minute or two before its first result, more on a busy machine."""

pytestmark = [pytest.mark.slow, pytest.mark.clients]


def test_recorded_values_are_those_of_ranx() -> None:
    venv = locked_venv("oracles-ranx", HERE / "ranx.lock")
    command = [str(venv / "bin" / "python"), str(HERE / "programs" / "ranx_fusion.py"), str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    if os.environ.get("RECORD"):
        RECORDED.write_text(done.stdout, encoding="utf-8")

    said, recorded = json.loads(done.stdout), json.loads(RECORDED.read_text(encoding="utf-8"))

    assert len(said) == len(recorded) == CASES
    for fresh, kept in zip(said, recorded, strict=True):
        assert fresh["members"] == kept["members"]
        assert {name: pytest.approx(scores) for name, scores in fresh["fused"].items()} == kept["fused"]
