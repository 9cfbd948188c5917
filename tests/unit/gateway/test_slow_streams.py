"""Streams of lines with the real engine behind them, and clients that are slow or gone."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.gateway.app import Gateway
from rerankd.gateway.listener.http_middleware import HttpMiddleware
from rerankd.http.settings import ListenerSettings
from rerankd_adapters.base import ProviderCall, ProviderReply
from tests.support.engines import services_of
from tests.support.providers import ScriptedProvider, by_length
from tests.unit.gateway.conftest import serving, web

HEAD = b"POST /v1/rerank:batch HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n"
ITEM = b'{"item":{"item_id":"a","request":{"query":"q","documents":["x"]}}}\n'
STUCK = ITEM.replace(b'"q"', b'"stuck"')


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def answer(call: ProviderCall) -> ProviderReply:
    if call.query == "stuck":
        await asyncio.sleep(3600)
    return await by_length(call)


class Served:
    def __init__(self) -> None:
        self.provider = ScriptedProvider(model=answer)
        self.engine = Engine(Router([self.provider], default_model="scripted/model"), RequestLimits())
        self.address = ("", 0)
        gateway = Gateway(services_of(self.engine), web({"status": "serving"}), version="1.2.3")
        self.middleware = HttpMiddleware(gateway, ListenerSettings())

    async def open(self, headers: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(HEAD + headers + b"\r\n")
        return reader, writer


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    async with serving(made.middleware) as made.address:
        yield made


async def test_client_that_sends_and_reads_one_at_a_time(served: Served) -> None:
    reader, writer = await served.open()
    for number in range(20):
        for start in range(0, len(ITEM), 7):
            writer.write(chunk(ITEM[start : start + 7]))
            await writer.drain()
        await asyncio.wait_for(reader.readuntil(b'"item_index":%d,' % number), 5)
    writer.write(b"0\r\n\r\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    writer.close()

    assert b'"items_succeeded":20' in rest


@pytest.mark.parametrize("headers", [b"", b"content-encoding: gzip\r\n"], ids=["plain", "gzip"])
async def test_client_that_goes_frees_everything(served: Served, headers: bytes) -> None:
    before = asyncio.all_tasks()
    reader, writer = await served.open(headers)
    body = ITEM + STUCK * 5
    writer.write(chunk(gzip.compress(body) if headers else body))
    await asyncio.wait_for(reader.readuntil(b'"item_index":0,'), 5)
    async with asyncio.timeout(5):
        while len(served.provider.calls) < 6:
            await asyncio.sleep(0.01)
    writer.transport.abort()

    async with asyncio.timeout(5):
        while served.provider.cancelled < 5 or asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)


async def test_others_are_answered_while_a_client_does_not_read(served: Served) -> None:
    _, slow = await served.open()
    slow.write(chunk(ITEM * 20_000))
    reader, writer = await served.open()
    writer.write(chunk(ITEM) + b"0\r\n\r\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
    slow.transport.abort()
    writer.close()

    assert b'"items_succeeded":1' in rest
