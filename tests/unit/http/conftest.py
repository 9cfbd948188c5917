"""Everything here runs on asyncio's loop, and on uvloop as the service does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from tests.support.certificates import write_authority
from tests.support.loop_transports import LoopTransports


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the tests' authority."""
    return write_authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(params=["http", "https"])
async def opened(request: pytest.FixtureRequest, ca_file: Path) -> AsyncIterator[LoopTransports]:
    """Opens transports that are closed after the test; nothing of them may stay."""
    transports = LoopTransports(ca_file if request.param == "https" else None)
    yield transports
    await transports.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
