"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import ServerProcess

pytest_plugins = ["tests.support.canary_plugin"]


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with default settings, shared by all tests that do not stop or overload it."""
    process = ServerProcess()
    yield process
    assert process.stop() == 0
