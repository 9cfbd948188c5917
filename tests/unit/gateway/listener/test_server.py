"""The HTTP listener on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from rerankd.gateway.listener.server import HttpServer, bind
from rerankd.http.settings import ListenerSettings, http_problems

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def connection(options: ListenerSettings) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = HttpServer(answer, options, drain_grace_s=1)
    listener = bind("127.0.0.1", 0)
    await server.start([listener])
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    yield reader, writer
    writer.close()
    await server.stop()


@pytest.mark.parametrize(("keep_alive_s", "is_closed"), [(1, True), (75, False)])
async def test_idle_connections_are_kept_for_keep_alive_s(keep_alive_s: int, is_closed: bool) -> None:
    async with connection(ListenerSettings(keep_alive_s=keep_alive_s)) as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        ends = asyncio.create_task(reader.read())
        await asyncio.wait({ends}, timeout=5 if is_closed else 2)
        assert ends.done() == is_closed
        ends.cancel()


def test_keep_alive_outlasts_the_usual_proxies() -> None:
    assert ListenerSettings().keep_alive_s > 60


MAY_BE_ZERO = frozenset({"allowed_origins", "compress_from_bytes"})


@pytest.mark.parametrize("name", [name for name in ListenerSettings.__struct_fields__ if name not in MAY_BE_ZERO])
def test_numbers_of_the_listener_are_positive(name: str) -> None:
    assert http_problems(msgspec.convert({name: 0}, ListenerSettings), "server.http") == [
        f"server.http.{name} must be at least 1, is 0"
    ]
