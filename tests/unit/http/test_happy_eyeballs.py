"""Hosts with several addresses: the first that accepts is taken, and none holds the others up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from rerankd.http import happy_eyeballs
from rerankd.http.happy_eyeballs import STAGGER_S, connect_tcp
from tests.support.raw_server import Peer, RawServer
from tests.support.waiting import GENEROUS_S

NAME = "several.example"


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[RawServer]:
    """A server that takes one connection, and sees it closed."""

    async def script(peer: Peer) -> None:
        await peer.reader.read()

    async with RawServer(script, host, port=port) as server:
        yield server
        async with asyncio.timeout(5):
            while not server.peers:
                await asyncio.sleep(0.001)
            await server.peers[0].left.wait()


@contextmanager
def full(host: str) -> Iterator[int]:
    """A port on which connections are not made: its queue is full."""
    with socket.create_server((host, 0), backlog=0) as listening:
        port: int = listening.getsockname()[1]
        waiting = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((host, port))
            waiting.append(filler)
        yield port
        for filler in waiting:
            filler.close()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the loop resolve `NAME` to given addresses."""

    def to(*hosts: str) -> None:
        loop = asyncio.get_running_loop()
        original = loop.getaddrinfo

        async def getaddrinfo(host: str, port: int, **options: Any) -> Sequence[Any]:
            if host != NAME:
                return await original(host, port, **options)
            families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in hosts]
            return [
                (family, socket.SOCK_STREAM, 6, "", (each, port)) for family, each in zip(families, hosts, strict=True)
            ]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)

    return to


async def test_an_address_needs_no_resolving() -> None:
    async with serving() as server:
        port = server.port
        with await connect_tcp("127.0.0.1", port) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_no_address() -> None:
    with pytest.raises(socket.gaierror):
        await connect_tcp("nowhere.invalid", 80)


async def test_one_that_refuses_is_not_waited_for(resolve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy_eyeballs, "STAGGER_S", 2 * GENEROUS_S)
    async with serving("127.0.0.2") as server, asyncio.timeout(GENEROUS_S):
        port = server.port
        resolve("127.0.0.1", "127.0.0.2", "127.0.0.3")
        with await connect_tcp(NAME, port) as sock:
            assert sock.getpeername() == ("127.0.0.2", port)


async def test_an_address_that_is_silent_holds_nobody_up_for_long(resolve: Any) -> None:
    with full("127.0.0.1") as port:
        async with serving("127.0.0.2", port):
            resolve("127.0.0.1", "127.0.0.2")
            began_s = time.monotonic()
            async with asyncio.timeout(GENEROUS_S):
                with await connect_tcp(NAME, port) as sock:
                    assert sock.getpeername() == ("127.0.0.2", port)
            assert time.monotonic() - began_s > STAGGER_S * 0.9


async def test_all_refuse(resolve: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port: int = closing.getsockname()[1]
    resolve("127.0.0.1", "127.0.0.2")
    with pytest.raises(ConnectionRefusedError):
        await connect_tcp(NAME, port)


async def test_cancelling_leaves_no_socket(resolve: Any) -> None:
    with full("127.0.0.1") as port:
        resolve("127.0.0.1", "127.0.0.1", "127.0.0.1")
        task = asyncio.create_task(connect_tcp(NAME, port))
        await asyncio.sleep(2.2 * STAGGER_S)
        assert len(asyncio.all_tasks()) == 5  # this one, the call and its three attempts
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1
