from __future__ import annotations

import asyncio
import importlib.util
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from rerankd.cli import main

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    exit_code: int
    out: str
    err: str


Run = Callable[..., Awaitable[Outcome]]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RERANKD_ADDRESS", "RERANKD_API_KEY", "RERANKD_CONFIG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    structlog.reset_defaults()  # a command is a program of its own; tests before this one may have configured logs


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """The fake server of the client's tests, which have no package to import it from."""
    name = "rerankd_fake_server"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "client" / "fake_server.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    module: Any = sys.modules[name]
    async with module.run_server() as running:
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a thread, beside the server, with `stdin` as its piped standard input."""

    async def run_command(*arguments: str, stdin: str | bytes = "") -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        exit_code = await asyncio.to_thread(main, arguments)
        captured = capsys.readouterr()
        return Outcome(exit_code, captured.out, captured.err)

    return run_command
