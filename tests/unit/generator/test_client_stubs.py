"""Stubs of clients in other languages: made where their toolchains are, and else left as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import generate_clients
from scripts.generator.toolchain import ToolchainMissingError, run_tool


def test_a_language_without_its_toolchain_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["generate_clients.py", "--check"])
    assert generate_clients.main() == 0
    said = capsys.readouterr().out
    for language in generate_clients.LANGUAGES:
        assert f"skipped the stubs of {language}: " in said


def test_a_tool_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissingError, match="no-such-file"):
        run_tool(["ls", "no-such-file"], tmp_path)
