"""Everything here runs on asyncio's loop, and on uvloop as the service does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest_asyncio
import uvloop

from rerankd.http.transport import TransportSettings
from rerankd.http.transport_loop import LoopTransport


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[Callable[..., LoopTransport]]:
    """Opens transports that are closed after the test; nothing of them may stay."""
    transports: list[LoopTransport] = []

    def open_with(**settings: Any) -> LoopTransport:
        transports.append(LoopTransport(TransportSettings(uses_environment_proxy=False, **settings)))
        return transports[-1]

    yield open_with
    for transport in transports:
        await transport.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
