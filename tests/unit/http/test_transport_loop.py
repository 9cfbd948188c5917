"""The transport on the event loop over real sockets, against servers that do what servers do."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from rerankd.http.transport_loop import LoopTransport
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest, HttpResponse
from tests.support.loop_transports import LoopTransports
from tests.support.raw_server import Peer, RawServer, Script, always
from tests.support.waiting import GENEROUS_S, until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
KEPT, SPENT = True, False
"""Whether a connection serves another request."""


async def post(transport: LoopTransport, server: RawServer, body: bytes = b"{}", timeout_s: float = 10) -> HttpResponse:
    return await transport.send(HttpRequest(url=f"{server.url}/rerank", body=body), timeout_s)


async def failure(call: Any) -> AdapterError:
    with pytest.raises(AdapterError) as failed:
        await call
    return failed.value


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


FRAMINGS = [
    ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", KEPT),
    ("no reason", b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}", KEPT),
    ("empty", b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 500, b"", KEPT),
    (
        "chunks",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nx-t: 1\r\n\r\n",
        200,
        b"{}",
        KEPT,
    ),
    ("to the end", b"HTTP/1.1 200 OK\r\n\r\n{}", 200, b"{}", SPENT),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", KEPT),
    ("304", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, b"", KEPT),
    ("interim", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nx-a: 1\r\n\r\n" + OK, 200, b"{}", KEPT),
    ("close", b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}", SPENT),
    ("1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}", SPENT),
    ("1.0 kept", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}", KEPT),
    ("offered h2c", OK.replace(b"content", b"upgrade: h2c\r\nconnection: upgrade\r\ncontent"), 200, b"{}", KEPT),
    ("too much", OK + b"x", 200, b"{}", SPENT),
    ("two responses", OK + OK, 200, b"{}", SPENT),
    ("a second begins", OK + b"HT", 200, b"{}", SPENT),
]


@pytest.mark.parametrize(("sent", "status", "body", "is_kept"), [f[1:] for f in FRAMINGS], ids=[f[0] for f in FRAMINGS])
async def test_framing(opened: LoopTransports, sent: bytes, status: int, body: bytes, is_kept: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        if b"\r\n\r\n{" in sent and b"ength" not in sent and b"chunked" not in sent:
            peer.close()
        else:
            await always(sent)(peer)

    transport = opened()
    async with opened.server(script) as server:
        for _ in range(2):
            response = await post(transport, server)
            assert (response.status, response.body) == (status, body)
        assert len(server.peers) == (1 if is_kept else 2)
        if not is_kept:
            await soon(server.peers[0].left)


async def test_headers(opened: LoopTransports) -> None:
    sent = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \t\r\nX-B:\r\nx-c: caf\xe9\r\ncontent-length: 2\r\n\r\n{}"
    async with opened.server(always(sent)) as server:
        response = await post(opened(), server)
    assert response.headers == {"x-a": "2", "x-b": "", "x-c": "café", "content-length": "2"}


async def test_head_has_no_body(opened: LoopTransports) -> None:
    transport = opened()
    async with opened.server(always(OK.removesuffix(b"{}"))) as server:
        for _ in range(2):
            response = await transport.send(HttpRequest(method="HEAD", url=server.url), 5)
            assert (response.status, response.body) == (200, b"")


MALFORMED = [
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/3.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx a: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-a : 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-a: \x00\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-a: 1\r\n folded\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n{}",
    b"HTTP/1.1 150 What\r\ncontent-length: 2\r\n\r\n{}" + OK,
]


@pytest.mark.parametrize("sent", MALFORMED)
async def test_not_http(opened: LoopTransports, sent: bytes) -> None:
    transport = opened()
    async with opened.server(always(sent)) as server:
        error = await failure(post(transport, server))
        assert error.kind is AdapterErrorKind.UNAVAILABLE
        assert "connection failed" in error.message
        await soon(server.peers[0].left)


@pytest.mark.parametrize(
    "endless",
    [
        (b"HTTP/1.1 200 OK\r\nx-a: ", b"a" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"x-a: 1\r\n" * 100),
        (b"HTTP/1.1 200 ", b"O" * 1000),
        (b"", b"\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 1000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", b"x-a: 1\r\n" * 100),
    ],
    ids=["value", "headers", "reason", "empty lines", "interim heads", "extension", "trailers"],
)
async def test_endless_head(opened: LoopTransports, endless: tuple[bytes, bytes]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(endless[0])
        while True:
            await peer.send(endless[1])

    transport = opened()
    async with opened.server(script) as server:
        error = await failure(post(transport, server))
        assert error.kind is AdapterErrorKind.BAD_RESPONSE
        assert "head is larger than 65536 bytes" in error.message
        await soon(server.peers[0].left)


async def test_head_that_is_too_large_in_one_piece(opened: LoopTransports) -> None:
    sent = b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 70_000 + b"\r\ncontent-length: 2\r\n\r\n{}"
    async with opened.server(always(sent)) as server:
        assert (await failure(post(opened(), server))).kind is AdapterErrorKind.BAD_RESPONSE


CODED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("coding", CODED)
async def test_codings(opened: LoopTransports, coding: str, is_chunked: bool) -> None:
    text = json.dumps(list(range(20_000))).encode()
    async with opened.server(always(*coded_answer(coding, CODED[coding](text), is_chunked=is_chunked))) as server:
        response = await post(opened(), server)
        assert b"accept-encoding: zstd, gzip\r\n" in server.peers[0].requests[0]
    assert response.body == text


@pytest.mark.parametrize("damage", ["cut", "nonsense", "tail"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_broken_coding(opened: LoopTransports, coding: str, damage: str) -> None:
    data = CODED[coding](b"0123456789" * 10)
    data = {"cut": data[:-3], "nonsense": b"\x00nonsense", "tail": data + b"tail"}[damage]
    async with opened.server(always(*coded_answer(coding, data))) as server:
        error = await failure(post(opened(), server))
        await soon(server.peers[0].left)
    assert error.kind is AdapterErrorKind.BAD_RESPONSE
    assert "decompressed" in error.message


def coded_answer(coding: str, data: bytes, *, is_chunked: bool = False) -> list[bytes]:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n".encode()
    if not is_chunked:
        return [head + b"content-length: %d\r\n\r\n" % len(data) + data]
    pieces = [data[start : start + 5000] for start in range(0, len(data), 5000)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return [head + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"]


LIMIT = 100_000


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"2710\r\n" + b" " * 10_000 + b"\r\n") * 11,
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_001,
        *(coded_answer(coding, CODED[coding](bytes(100_000_000)))[0] for coding in ("gzip", "zstd")),
    ],
    ids=["announced", "chunks", "to the end", "gzip", "zstd"],
)
async def test_too_large(opened: LoopTransports, sent: bytes) -> None:
    transport = opened(max_response_bytes=LIMIT)
    async with opened.server(always(sent)) as server:
        tracemalloc.start()
        error = await failure(post(transport, server))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert error.kind is AdapterErrorKind.BAD_RESPONSE
        assert "larger than 100000 bytes" in error.message
        assert most < 10_000_000
        await soon(server.peers[0].left)


async def test_largest_body(opened: LoopTransports) -> None:
    sent = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b" " * LIMIT
    async with opened.server(always(sent)) as server:
        assert len((await post(opened(max_response_bytes=LIMIT), server)).body) == LIMIT


async def test_one_used_last_serves_first(opened: LoopTransports) -> None:
    answers = [asyncio.Event() for _ in range(3)]

    async def script(peer: Peer) -> None:
        await peer.request()
        await answers[peer.number].wait()
        await peer.send(OK)
        await always(OK)(peer)

    transport = opened()
    async with opened.server(script) as server:
        calls = []
        for number in range(3):
            calls.append(asyncio.create_task(post(transport, server)))
            while len(server.peers) == number:
                await asyncio.sleep(0.001)
        for number in (2, 0, 1):
            answers[number].set()
            await calls[number]
        for _ in range(3):
            await post(transport, server)
        assert [len(peer.requests) for peer in server.peers] == [1, 4, 1]


async def test_no_more_are_kept_than_allowed(opened: LoopTransports) -> None:
    together = asyncio.Barrier(3)

    async def script(peer: Peer) -> None:
        await peer.request()
        await together.wait()
        await peer.send(OK)

    transport = opened(max_connections_per_host=2)
    async with opened.server(script) as server:
        await asyncio.gather(*(post(transport, server) for _ in range(3)))
        async with asyncio.timeout(5):
            while sum(peer.left.is_set() for peer in server.peers) != 1:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert sum(peer.left.is_set() for peer in server.peers) == 1


async def test_idle_connections_are_closed_in_time(opened: LoopTransports) -> None:
    transport = opened(idle_timeout_s=2)
    async with opened.server(always(OK)) as server:
        for _ in range(3):
            await post(transport, server)
            used_s = time.monotonic()
            await asyncio.sleep(0.8)
        assert len(server.peers) == 1
        async with asyncio.timeout(GENEROUS_S):
            await server.peers[0].left.wait()
        assert time.monotonic() - used_s >= 1.9
        await post(transport, server)
        assert len(server.peers) == 2


@pytest.mark.parametrize("how", ["close", "reset", "stray bytes", "stray response"])
async def test_kept_connection_that_the_server_spoils_is_dropped(opened: LoopTransports, how: str) -> None:
    spoilt: list[Peer] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await asyncio.sleep(0.01)
        if how == "close":
            peer.close()
        elif how == "reset":
            peer.reset()
        else:
            await peer.send(b"x" if how == "stray bytes" else OK.replace(b"200", b"500"))
            await peer.reader.read()  # until the transport drops the connection
        spoilt.append(peer)

    transport = opened()
    async with opened.server(script) as server:
        for number in range(3):
            assert (await post(transport, server)).status == 200
            await until(lambda: len(spoilt) == len(server.peers))
            await asyncio.sleep(0.05)
            assert len(server.peers) == number + 1


def breaking(answer: bytes, how: Callable[[Peer], None], breaks: int = 1) -> Script:
    """Serve one request of a connection and break at its second; so on for the first `breaks` connections."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number < breaks:
            await peer.send(OK)
            await peer.request()
            await peer.send(answer)
            how(peer)
        else:
            await peer.send(OK)
            await always(OK)(peer)

    return script


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_request_is_sent_again_when_a_kept_connection_breaks(
    opened: LoopTransports, how: Callable[[Peer], None]
) -> None:
    transport = opened()
    async with opened.server(breaking(b"", how)) as server:
        await post(transport, server)
        assert (await post(transport, server, b"second" * 10_000)).status == 200
        assert [request[-6:] for peer in server.peers for request in peer.requests][1:] == [b"second"] * 2


@pytest.mark.parametrize("answer", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", OK[:-1]])
async def test_request_that_was_answered_in_part_is_not_sent_again(opened: LoopTransports, answer: bytes) -> None:
    transport = opened()
    async with opened.server(breaking(answer, Peer.close)) as server:
        await post(transport, server)
        assert (await failure(post(transport, server))).kind is AdapterErrorKind.UNAVAILABLE
        assert len(server.peers) == 1


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_request_is_sent_again_but_once(opened: LoopTransports, how: Callable[[Peer], None]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.send(OK)
            await peer.request()
        how(peer)

    transport = opened()
    async with opened.server(script) as server:
        await post(transport, server)
        assert (await failure(post(transport, server))).kind is AdapterErrorKind.UNAVAILABLE
        assert (await failure(post(transport, server))).kind is AdapterErrorKind.UNAVAILABLE
        assert len(server.peers) == 3


async def test_sending_again_takes_no_more_time(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.send(OK)
            await peer.request()
            await asyncio.sleep(2.4)
            peer.close()

    transport = opened()
    async with opened.server(script) as server:
        await post(transport, server)
        started_s = time.monotonic()
        assert (await failure(post(transport, server, timeout_s=3))).kind is AdapterErrorKind.TIMEOUT
        assert 2.9 <= time.monotonic() - started_s < 5.4, "2.4 s and 3 s more"
        await soon(server.peers[1].left)


async def test_silence_is_counted_from_the_last_byte(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for byte in OK:
            await asyncio.sleep(1.5 / len(OK))
            await peer.send(bytes([byte]))
        await always(OK[:-1])(peer)

    transport = opened(read_timeout_s=1)
    async with opened.server(script) as server:
        assert (await post(transport, server)).status == 200
        started_s = time.monotonic()
        assert "silent for too long" in (await failure(post(transport, server))).message
        assert time.monotonic() - started_s >= 0.95
        await soon(server.peers[0].left)


BIG = bytes(10_000_000)


async def deaf(peer: Peer) -> None:
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads
    await asyncio.sleep(0.5)
    peer.writer.transport.resume_reading()  # type: ignore[attr-defined]  # it reads


async def test_server_that_does_not_read_is_left_in_time(opened: LoopTransports) -> None:
    async with opened.server(deaf) as server:
        error = await failure(post(opened(), server, BIG, timeout_s=0.2))
        assert error.kind is AdapterErrorKind.TIMEOUT
        await soon(server.peers[0].left)


async def test_cancelling_while_a_body_is_sent(opened: LoopTransports) -> None:
    transport = opened()
    async with opened.server(deaf) as server:
        task = asyncio.create_task(post(transport, server, BIG))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await soon(server.peers[0].left)


async def test_large_body_arrives(opened: LoopTransports) -> None:
    body = Random(1).randbytes(3_000_000)
    async with opened.server(always(OK)) as server:
        await post(opened(), server, body)
        assert server.peers[0].requests[0].endswith(b"content-length: 3000000\r\n\r\n" + body)


@pytest.mark.parametrize("closes", [False, True])
async def test_answer_before_the_body_was_read(opened: LoopTransports, closes: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
        if closes:
            peer.close()
        else:
            await deaf(peer)

    transport = opened()
    async with opened.server(script) as server:
        for number in range(2):
            assert (await post(transport, server, BIG)).status == 413
            assert len(server.peers) == number + 1


@asynccontextmanager
async def unaccepting(scheme: str) -> AsyncIterator[str]:
    """A port on which connections are not made: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            waiting.append(filler)
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
        for filler in waiting:
            filler.close()


async def test_connecting_takes_no_longer_than_allowed(opened: LoopTransports) -> None:
    transport = opened(connect_timeout_s=0.3)
    async with unaccepting(opened.scheme) as url:
        started_s = time.monotonic()
        error = await failure(transport.send(HttpRequest(url=url), 10))
        assert (error.kind, time.monotonic() - started_s >= 0.25) == (AdapterErrorKind.UNAVAILABLE, True)
        assert "no connection was made in time" in error.message
        error = await failure(transport.send(HttpRequest(url=url), 0.1))
        assert error.kind is AdapterErrorKind.TIMEOUT


async def test_connecting_can_be_cancelled_and_closed(opened: LoopTransports) -> None:
    transport = opened()
    async with unaccepting(opened.scheme) as url:
        cancelled, closed = (asyncio.create_task(transport.send(HttpRequest(url=url), 10)) for _ in range(2))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await transport.close()
        assert "closed from this side" in (await failure(closed)).message
        await asyncio.gather(cancelled, return_exceptions=True)
        assert cancelled.cancelled()


async def test_closing_leaves_no_connection(opened: LoopTransports) -> None:
    transport = opened()
    async with opened.server(always(OK)) as server:
        await post(transport, server)
        await transport.close()
        await soon(server.peers[0].left)


async def test_cancelled_call_leaves_the_next_one_its_connection(opened: LoopTransports) -> None:
    """Cancelled when its response was whole already, and the connection another's."""
    transport = opened()
    async with opened.server(always(OK)) as server:
        await post(transport, server)
        pool = next(iter(transport._pools.values()))
        connection = pool.take()
        assert connection is not None
        head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
        deadline_s = asyncio.get_running_loop().time() + 5
        first = connection.start(head, b"", 5, deadline_s, is_head=False)
        await first
        assert pool.take() is connection
        second = connection.start(head, b"", 5, deadline_s, is_head=False)
        connection.give_up(first)
        assert isinstance(await second, HttpResponse)
        assert len(server.peers) == 1


async def test_connection_that_is_being_closed_is_not_taken(opened: LoopTransports) -> None:
    transport = opened()
    async with opened.server(always(OK)) as server:
        await post(transport, server)
        pool = next(iter(transport._pools.values()))
        connection = pool.take()
        assert connection is not None
        pool._keep(connection)
        connection.abort(None)
        assert pool.take() is None


async def test_cancelling_as_the_response_comes(opened: LoopTransports) -> None:
    """At whatever step of the way, the connection is closed or goes on in good order."""
    transport = opened()
    async with opened.server(always(OK)) as server:
        for step in range(40):
            task = asyncio.create_task(post(transport, server))
            for _ in range(step):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await post(transport, server)).body == b"{}"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv6(opened: LoopTransports) -> None:
    try:
        async with opened.server(always(OK), "::1") as server:
            assert (await post(opened(), server)).status == 200
            assert f"host: {server.url.partition('//')[2]}\r\n".encode() in server.peers[0].requests[0]
    except OSError as error:
        pytest.skip(f"the loopback interface has no IPv6 address: {error}")


async def test_storm(opened: LoopTransports) -> None:
    """Servers that answer, stall, break and babble at random, and callers that leave: nothing is mixed up or left."""
    random = Random(7)

    async def script(peer: Peer) -> None:
        while True:
            number = (await peer.request()).partition(b"\r\n\r\n")[2]
            answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(number), number)
            cut = random.randrange(len(answer))
            match random.randrange(10):
                case 0:
                    return peer.close()
                case 1:
                    return peer.reset()
                case 2:
                    await peer.send(answer[:cut])
                    return peer.close()
                case 3:
                    await peer.send(random.randbytes(cut))
                case 4:
                    await asyncio.sleep(1)
                case 5:
                    await peer.send(answer, b"stray")
                case 6:
                    await peer.send(answer)
                    return peer.close()
                case _:
                    await peer.send(answer[:cut], answer[cut:])

    transport = opened(idle_timeout_s=0.01)

    async def call(number: int) -> str:
        try:
            body = b"%d" % number
            return "right" if (await post(transport, server, body, timeout_s=0.2)).body == body else "wrong"
        except AdapterError as error:
            return error.kind.name

    async with opened.server(script) as server:
        outcomes = []
        for _ in range(20):
            tasks = [asyncio.create_task(call(random.randrange(10**6))) for _ in range(16)]
            await asyncio.sleep(random.random() / 50)
            random.choice(tasks).cancel()
            outcomes += await asyncio.gather(*tasks, return_exceptions=True)
        await transport.close()
        for peer in server.peers:
            await soon(peer.left)
        assert all(not pool._connections for pool in transport._pools.values())
    counts = {outcome: outcomes.count(outcome) for outcome in outcomes if isinstance(outcome, str)}
    assert counts.keys() <= {"right", "TIMEOUT", "UNAVAILABLE", "BAD_RESPONSE"}
    assert counts["right"] > 10, "on an idle machine half of them; on a busy one most are late"
    assert all(isinstance(outcome, str | asyncio.CancelledError) for outcome in outcomes)
