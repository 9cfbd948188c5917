"""Bounds of a connection, over sockets: heads, times, pipelining, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from rerankd.gateway.listener.connection_limit import ConnectionLimit, open_file_room
from rerankd.gateway.listener.refusal_log import RefusalLog
from rerankd.gateway.listener.server import HttpServer
from rerankd.http.settings import ListenerSettings, http_problems
from tests.unit.gateway.conftest import answer_in_order, free_socket

OPTIONS = ListenerSettings(
    header_timeout_s=2,
    keep_alive_s=2,
    write_timeout_s=0.3,
    max_url_bytes=200,
    max_head_bytes=1000,
    max_headers=10,
    max_pipelined=3,
    max_connections=4,
    max_connections_per_address=3,
)
BODY = b'{"query":"q","documents":["a"]}'
CALL = b"POST /rerank HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


@dataclass
class Client:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Read one response: status and body."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split(b" ", 2)[1]), json.loads(await self.reader.readexactly(length))

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; nothing may come before it."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 5) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def serving(app: Any, options: ListenerSettings) -> AsyncIterator[tuple[str, int]]:
    server = HttpServer(app, options, 1.0)
    with free_socket() as listener:
        await server.start([listener])
        yield listener.getsockname()
        await server.stop()


@pytest.fixture
async def bounded(app: Any) -> AsyncIterator[tuple[str, int]]:
    async with serving(app, OPTIONS) as address:
        yield address


@pytest.fixture
async def impatient(app: Any) -> AsyncIterator[tuple[str, int]]:
    """A server that waits 0.2 s for a head: only for clients that never complete one."""
    async with serving(app, msgspec.structs.replace(OPTIONS, header_timeout_s=0.2)) as address:
        yield address


@contextlib.asynccontextmanager
async def connected(address: tuple[str, int], source: str = "127.0.0.1") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("head", "status", "message"),
    [
        (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 300), 414, "URL is longer than 200 bytes"),
        (b"GET / HTTP/1.1\r\nx: %s\r\n\r\n" % (b"y" * 1100), 431, "head is larger than 1000 bytes"),
        (b"GET / HTTP/1.1\r\n%s\r\n" % (b"x: y\r\n" * 11), 431, "more than 10 headers"),
        (b"nonsense\r\n\r\n", 400, "not valid HTTP/1.1"),
    ],
)
async def test_bad_head_is_answered_and_the_connection_closed(
    bounded: tuple[str, int], head: bytes, status: int, message: str
) -> None:
    async with connected(bounded) as client:
        client.writer.write(head)
        answered, body = await client.answer()
        assert (answered, message in body["message"]) == (status, True)
        assert await client.is_closed()


@pytest.mark.parametrize("piece", [b"0\r\nx-long: ", b"1;extension=", b"0\r\n" + b"x: y\r\n" * 20])
async def test_body_that_is_all_head_closes_the_connection(bounded: tuple[str, int], piece: bytes) -> None:
    async with connected(bounded) as client:
        client.writer.write(b"POST /rerank HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n" + piece)
        for _ in range(3):
            await asyncio.sleep(0.05)
            client.writer.write(b"x" * 900)
        assert await client.is_closed()


async def test_bad_requests_are_counted_in_a_line(bounded: tuple[str, int], caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as lines, caplog.at_level(logging.WARNING):
        for sent in (b"nonsense\r\n\r\n", b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 300), b"more nonsense\r\n\r\n"):
            async with connected(bounded) as client:
                client.writer.write(sent)
                await client.answer()
    assert [(line["event"], line["status"], line["address"], line["refused"]) for line in lines] == [
        ("connections refused", 400, "127.0.0.1", 1),
        ("connections refused", 414, "127.0.0.1", 1),
    ]
    assert caplog.messages == []


def test_refusals_of_a_kind_are_logged_once_in_a_while() -> None:
    now_s = 5.0
    log = RefusalLog(lambda: now_s)
    with capture_logs() as lines:
        for second in range(21):
            now_s = 5.0 + second
            log.note("400", "::1", status=400)
        log.note("431", "::2", status=431)
    assert [(line["status"], line["address"], line["refused"]) for line in lines] == [
        (400, "::1", 1),
        (400, "::1", 10),
        (400, "::1", 10),
        (431, "::2", 1),
    ]


async def test_silent_connection_is_closed(impatient: tuple[str, int]) -> None:
    async with connected(impatient) as client:
        assert await client.is_closed()


async def test_head_that_stops_halfway_is_answered(impatient: tuple[str, int]) -> None:
    async with connected(impatient) as client:
        client.writer.write(b"GET / HTTP/1.1\r\nx:")
        status, body = await client.answer()
        assert (status, "head did not come within 0.2 seconds" in body["message"]) == (408, True)
        assert await client.is_closed()


@pytest.mark.parametrize("dribble", [b"", b"\r\n"])
async def test_connection_is_kept_for_a_while(bounded: tuple[str, int], dribble: bytes) -> None:
    async with connected(bounded) as client:
        client.writer.write(CALL)
        assert (await client.answer())[0] == 200
        await asyncio.sleep(0.3)
        client.writer.write(CALL)
        assert (await client.answer())[0] == 200
        client.writer.write(dribble)
        assert await client.is_closed()


async def test_some_requests_may_be_pipelined(bounded: tuple[str, int]) -> None:
    async with connected(bounded) as client:
        client.writer.write(CALL * 4)
        assert [(await client.answer())[0] for _ in range(4)] == [200] * 4
        client.writer.write(CALL * 5)
        assert await client.is_closed()


async def test_client_that_does_not_read_is_left(bounded: tuple[str, int], service: Any) -> None:
    answered = asyncio.Event()

    async def answer(request: Any, call: Any) -> Any:
        result = await answer_in_order(request, call)
        result.model = "m" * 20_000_000
        answered.set()
        return result

    service.answer = answer
    async with connected(bounded) as client:
        client.writer.write(CALL)
        await answered.wait()
        await asyncio.sleep(2)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(client.reader.readexactly(20_000_000), 20)


async def test_connections_beyond_a_limit_are_told_so(bounded: tuple[str, int]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(connected(bounded))
        fourth = await stack.enter_async_context(connected(bounded))
        status, body = await fourth.answer()
        assert (status, body["message"]) == (
            429,
            "127.0.0.1 has 3 connections, as many as this server takes from one address",
        )
        other = await stack.enter_async_context(connected(bounded, "127.0.0.2"))
        other.writer.write(CALL)
        assert (await other.answer())[0] == 200
        fifth = await stack.enter_async_context(connected(bounded, "127.0.0.2"))
        assert (await fifth.answer())[0] == 503
    async with connected(bounded) as client:
        client.writer.write(CALL)
        assert (await client.answer())[0] == 200


def test_limit_forgets_addresses_that_have_left() -> None:
    limit = ConnectionLimit(10, 1)
    assert limit.enter("a") is None
    assert limit.enter("a") == "max_connections_per_address"
    limit.leave("a")
    assert limit.enter("a") is None


def test_room_for_connections_is_some() -> None:
    assert open_file_room() >= 1


@pytest.mark.parametrize("name", ["keep_alive_s", "max_headers", "header_timeout_s", "max_connections"])
def test_bounds_are_positive(name: str) -> None:
    [problem] = http_problems(msgspec.structs.replace(ListenerSettings(), **{name: 0}), "server.http")
    assert problem.startswith(f"server.http.{name} must be ")
