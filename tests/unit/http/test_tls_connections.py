"""Connections over TLS on the event loop: resumed sessions, words for what went wrong, nothing left open."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from queue import Queue

import pytest

from rerankd.http.transport_loop import LoopTransport
from rerankd_adapters.base import AdapterError, HttpRequest
from tests.support.blocking_tls import BlockingTlsServer
from tests.support.certificates import server_context
from tests.support.loop_transports import LoopTransports
from tests.support.raw_server import Peer, RawServer, Script, always
from tests.support.waiting import GENEROUS_S

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture(params=["https"])
def opened(opened: LoopTransports) -> LoopTransports:
    return opened


async def post(transport: LoopTransport, server: RawServer) -> None:
    url = server.url.replace("http:", "https:")
    assert (await transport.send(HttpRequest(url=url, body=b"{}"), 10)).body == b"{}"


async def failure(transport: LoopTransport, server: RawServer) -> str:
    with pytest.raises(AdapterError) as failed:
        await post(transport, server)
    return failed.value.message


def was_resumed(peer: Peer) -> bool:
    return bool(peer.writer.get_extra_info("ssl_object").session_reused)


def once(resumed: list[bool], how: Callable[[Peer], None] = Peer.close) -> Script:
    """Serve one request of a connection and note whether its session was resumed."""

    async def script(peer: Peer) -> None:
        resumed.append(was_resumed(peer))
        await peer.request()
        await peer.send(OK)
        how(peer)

    return script


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_the_next_connection_resumes_the_session(
    opened: LoopTransports, version: ssl.TLSVersion, how: Callable[[Peer], None]
) -> None:
    context = server_context()
    context.minimum_version = context.maximum_version = version
    transport = opened()
    resumed: list[bool] = []
    async with RawServer(once(resumed, how), tls=context) as server:
        for _ in range(3):
            await post(transport, server)
            await asyncio.sleep(0.05)
    assert resumed == [False, True, True]


async def test_connections_beside_one_another_resume_its_session(opened: LoopTransports) -> None:
    transport = opened()
    together = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await together.wait()
        await peer.send(OK)

    async with RawServer(script, tls=server_context()) as server:
        await post(transport, server)
        calls = [asyncio.create_task(post(transport, server)) for _ in range(2)]
        while len(server.peers) < 2:
            await asyncio.sleep(0.01)
        together.set()
        calls[1].cancel()
        await calls[0]
        assert was_resumed(server.peers[1])


async def test_a_server_that_cannot_resume_the_session(opened: LoopTransports) -> None:
    transport = opened()
    resumed: list[bool] = []
    async with (
        RawServer(once(resumed), tls=server_context()) as first,
        RawServer(once(resumed), tls=server_context()) as second,
    ):
        for server in (first, second, second):
            await post(transport, server)
            await asyncio.sleep(0.05)
    assert resumed == [False, False, True]


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_handshake_that_is_broken_off(opened: LoopTransports, how: Callable[[Peer], None]) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        how(peer)

    async with RawServer(script) as server:
        message = await failure(opened(), server)
    assert "127.0.0.1 broke off the TLS handshake" in message or "reset by peer" in message


async def test_handshake_that_takes_too_long(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read()

    async with RawServer(script) as server:
        message = await failure(opened(connect_timeout_s=0.3), server)
        assert "the TLS handshake with 127.0.0.1 was not done in time" in message


async def test_cancelling_during_the_handshake(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read()

    transport = opened()
    async with RawServer(script) as server:
        call = asyncio.create_task(post(transport, server))
        async with asyncio.timeout(5):
            while not server.peers:
                await asyncio.sleep(0.01)
            call.cancel()
            await server.peers[0].left.wait()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()


async def test_closing_during_the_handshake(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read()

    transport = opened()
    async with RawServer(script) as server:
        call = asyncio.create_task(failure(transport, server))
        async with asyncio.timeout(5):
            while not server.peers:
                await asyncio.sleep(0.01)
            await transport.close()
            assert "closed from this side" in await call
            await server.peers[0].left.wait()


async def test_end_of_tls_under_a_kept_connection_costs_no_call(opened: LoopTransports) -> None:
    transport = opened()
    async with RawServer(once([]), tls=server_context()) as server:
        for _ in range(5):
            await post(transport, server)
        async with asyncio.timeout(5):
            for peer in server.peers:
                await peer.left.wait()


async def test_records_that_were_tampered_with(opened: LoopTransports) -> None:
    """Bytes on the socket beneath TLS end the call, and nothing of them is taken for a response."""

    async def script(peer: Peer) -> None:
        await peer.request()
        os.write(peer.writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))

    async with RawServer(script, tls=server_context()) as server:
        assert "TLS with the server: " in await failure(opened(), server)


async def test_always_keeps_one_connection(opened: LoopTransports) -> None:
    transport = opened()
    async with RawServer(always(OK), tls=server_context()) as server:
        for _ in range(20):
            await post(transport, server)
        assert len(server.peers) == 1


async def test_idle_connections_end_with_the_closing_alert(opened: LoopTransports) -> None:
    """Read without asyncio's TLS, which takes the end of the connection for that of TLS."""
    alerted: Queue[bool] = Queue()
    with BlockingTlsServer(server_context(), on_end=alerted.put) as server:
        transport = opened(idle_timeout_s=0.1)
        assert (await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)).status == 200
        assert await asyncio.to_thread(alerted.get, timeout=5)
        assert (await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)).status == 200
        await transport.close()
        assert await asyncio.to_thread(alerted.get, timeout=5)


async def test_closing_does_not_wait_long_for_a_server_that_does_not(opened: LoopTransports) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads
        await peer.left.wait()

    transport = opened()
    async with RawServer(script, tls=server_context()) as server:
        await post(transport, server)
        async with asyncio.timeout(GENEROUS_S):
            await transport.close()
        server.peers[0].reset()
