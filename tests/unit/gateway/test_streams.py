"""Newline-delimited JSON both ways, over ASGI and over a real uvicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rerankd.contract.errors import Reason, ServiceError

PATH = "/v1/rerank:batch"
ITEM = b'{"item":{"item_id":"a","request":{"query":"q","documents":["x"]}}}\n'


def parse(answer: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("body", [ITEM + b"\n" + ITEM, ITEM + ITEM.strip(), ITEM.replace(b"\n", b"\r\n") * 2])
async def test_every_item_is_answered(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(PATH, content=body, headers={"content-type": "application/x-ndjson"})

    assert answer.headers["content-type"] == "application/x-ndjson"
    first, second, summary = parse(answer)
    assert (first["item"]["item_index"], second["item"]["item_index"]) == (0, 1)
    assert summary["summary"]["items_received"] == 2


async def test_lines_may_be_cut_anywhere(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in ITEM + ITEM:
            yield bytes([byte])

    answer = await client.post(PATH, content=pieces())

    assert len(parse(answer)) == 3


async def test_bad_line_is_reported_after_what_came_before(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=ITEM + b'{"item":{"itm_id":"b"}}\n' + ITEM)

    item, summary, failure = parse(answer)
    assert answer.status_code == 200
    assert item["item"]["item_id"] == "a"
    assert summary["summary"]["items_received"] == 1
    assert failure["error"]["param"] == "item.itm_id"
    assert failure["reason"] == "INVALID_REQUEST"


async def test_unreadable_line_is_named_by_its_number(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=ITEM + b"\n{nope\n")

    assert "line 3" in parse(answer)[-1]["message"]


async def test_bad_first_line_fails_the_call(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=b"nope\n")

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")


async def test_line_size_is_bounded(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, content=b" " * 501)).status_code == 413
    assert (await client.post(PATH, content=(ITEM + b" " * 400) * 20)).status_code == 200


async def test_failure_before_the_first_answer_keeps_its_status(client: httpx.AsyncClient, service: Any) -> None:
    async def refuse(*_: Any) -> Any:
        raise ServiceError(Reason.API_KEY_MISSING, "no key")

    service.answer = refuse
    answer = await client.post(PATH, content=ITEM)

    assert (answer.status_code, answer.json()["reason"]) == (401, "API_KEY_MISSING")


async def test_fault_after_the_first_answer_is_the_last_line(client: httpx.AsyncClient, service: Any) -> None:
    works = service.answer

    async def break_later(request: Any, call: Any) -> Any:
        if service.taken == 2:
            raise RuntimeError("secret")
        return await works(request, call)

    service.answer = break_later
    answer = await client.post(PATH, content=ITEM * 3)

    item, failure = parse(answer)
    assert item["item"]["item_index"] == 0
    assert failure["reason"] == "INTERNAL"
    assert "secret" not in answer.text


async def open_stream(address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*address)
    head = f"POST {PATH} HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_answers_come_while_the_body_is_still_open(address: tuple[str, int]) -> None:
    reader, writer = await open_stream(address)
    writer.write(chunk(ITEM))

    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    first = await asyncio.wait_for(reader.readuntil(b"}\n"), 5)
    writer.write(chunk(ITEM) + b"0\r\n\r\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    writer.close()

    assert b"200 OK" in head
    assert b'"item_index":0' in first
    assert b'"items_received":2' in rest


async def test_reading_stops_while_the_engine_is_busy(address: tuple[str, int], service: Any) -> None:
    blocked = asyncio.Event()

    async def wait(*_: Any) -> Any:
        await blocked.wait()
        raise ServiceError(Reason.CANCELLED, "over")

    service.answer = wait
    _, writer = await open_stream(address)

    async def send_everything() -> None:
        for _ in range(4000):
            writer.write(chunk(ITEM * 1000))
            await asyncio.wait_for(writer.drain(), 0.3)

    with pytest.raises(TimeoutError):
        await send_everything()
    blocked.set()
    writer.close()

    assert service.taken == 1


async def test_client_that_stops_reading_stops_the_work(address: tuple[str, int], service: Any) -> None:
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    body = ITEM * 50_000
    head = f"POST {PATH} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    taken = -1
    while taken != service.taken:
        taken = service.taken
        await asyncio.sleep(0.3)
    writer.transport.abort()

    assert 0 < taken < 50_000


async def test_client_that_leaves_a_stream_cancels_it(address: tuple[str, int], service: Any) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    service.answer = wait
    _, writer = await open_stream(address)
    writer.write(chunk(ITEM))
    await asyncio.wait_for(started.wait(), 5)
    writer.close()

    await asyncio.wait_for(ended.wait(), 5)
