"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rerankd.telemetry.settling import settle
from tests.support.server import ServerProcess

pytest_plugins = ["tests.support.canary_plugin"]


@pytest.fixture(autouse=True)
def nothing_left_to_settle() -> Iterator[None]:
    """Count and log the calls of a test before the next one begins."""
    yield
    settle()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with default settings, shared by all tests that do not stop or overload it."""
    process = ServerProcess()
    yield process
    assert process.stop() == 0
