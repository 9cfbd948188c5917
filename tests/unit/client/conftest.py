from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rerankd_client import AsyncRerankClient

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer


def load_fake_server() -> Any:
    """Import the module beside this file; tests have no packages."""
    name = "rerankd_fake_server"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_server.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def fake() -> Any:
    """The module of the fake server, for its constants."""
    return load_fake_server()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with load_fake_server().run_server() as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncRerankClient]:
    async with AsyncRerankClient(server.address) as connected:
        yield connected
