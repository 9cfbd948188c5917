"""Content codings of bodies, both ways."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rerankd.gateway.listener.compression import choose_coding
from rerankd.http.decompression import Decoder, UndecodableError
from rerankd.http.settings import ListenerSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODED: dict[str, Any] = {"gzip": gzip.compress, "zstd": zstd.compress}
UNDONE: dict[str, Any] = {"gzip": gzip.decompress, "zstd": zstd.decompress}
BODY = json.dumps({"query": "q", "documents": ["a text"] * 50}).encode()
ITEM = b'{"item":{"item_id":"a","request":{"query":"q","documents":["x"]}}}\n'


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=nonsense", None),
        ("br", None),
        (";;,,q=", None),
    ],
)
def test_choice(accepted: str, coding: str | None) -> None:
    assert choose_coding(accepted) == coding


async def raw(client: httpx.AsyncClient, method: str, path: str, **fields: Any) -> tuple[httpx.Response, bytes]:
    async with client.stream(method, path, **fields) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_long_answer_is_compressed(browser: httpx.AsyncClient, coding: str) -> None:
    plain = (await browser.get("/openapi.json", headers={"accept-encoding": "identity"})).content
    answer, body = await raw(browser, "GET", "/openapi.json", headers={"accept-encoding": coding})

    assert answer.headers["content-encoding"] == coding
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["vary"] == "accept-encoding"
    assert len(body) < len(plain) / 3
    assert UNDONE[coding](body) == plain


async def test_short_answer_is_not(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/health", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in answer.headers


async def test_head_tells_no_length_that_get_would_not_have(browser: httpx.AsyncClient) -> None:
    answer = await browser.head("/openapi.json", headers={"accept-encoding": "gzip"})

    assert (answer.status_code, answer.content, answer.headers["vary"]) == (200, b"", "accept-encoding")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("options", [ListenerSettings(compress_from_bytes=0)])
async def test_compression_can_be_switched_off(browser: httpx.AsyncClient, options: ListenerSettings) -> None:
    answer = await browser.get("/openapi.json", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_coded_body_is_read(browser: httpx.AsyncClient, service: Any, coding: str, size: int) -> None:
    data = CODED[coding](BODY)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    answer = await browser.post("/v1/rerank", content=pieces(), headers={"content-encoding": coding.upper()})

    assert (answer.status_code, len(answer.json()["results"])) == (200, 50)
    assert service.requests[0].documents == ["a text"] * 50


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_members_one_after_the_other(browser: httpx.AsyncClient, coding: str) -> None:
    data = CODED[coding](BODY[:20]) + CODED[coding](BODY[20:])
    answer = await browser.post("/v1/rerank", content=data, headers={"content-encoding": coding})

    assert answer.status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "nonsense", "tail"])
async def test_broken_body(browser: httpx.AsyncClient, coding: str, damage: str) -> None:
    data = CODED[coding](BODY)
    data = {"cut": data[:-3], "nonsense": b"\x00nonsense", "tail": data + b"tail"}[damage]
    answer = await browser.post("/v1/rerank", content=data, headers={"content-encoding": coding})

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")
    assert coding in answer.json()["message"]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_bomb_is_refused_before_it_is_large(browser: httpx.AsyncClient, coding: str) -> None:
    bomb = CODED[coding](bytes(100_000_000))
    tracemalloc.start()
    answer = await browser.post("/v1/rerank", content=bomb, headers={"content-encoding": coding})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 413
    assert "200000 bytes" in answer.json()["message"]
    assert most < 10_000_000


def test_zstd_window_is_bounded() -> None:
    frame = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    wide = frame.compress(b"x" * 1000) + frame.flush()
    with pytest.raises(UndecodableError, match="not valid"):
        list(Decoder("zstd").pieces(wide))


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd"])
async def test_other_coding_is_refused_with_those_that_are_read(browser: httpx.AsyncClient, coding: str) -> None:
    answer = await browser.post("/v1/rerank", content=BODY, headers={"content-encoding": coding})

    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, zstd")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_stream_of_lines_comes_in_coded(browser: httpx.AsyncClient, coding: str) -> None:
    answer = await browser.post(
        "/v1/rerank:batch", content=CODED[coding](ITEM * 300), headers={"content-encoding": coding}
    )

    assert len(answer.text.splitlines()) == 301
    assert "content-encoding" not in answer.headers


async def test_stream_that_breaks_off_says_so_last(browser: httpx.AsyncClient) -> None:
    data = gzip.compress(ITEM * 3)[:-4]
    answer = await browser.post("/v1/rerank:batch", content=data, headers={"content-encoding": "gzip"})

    *answers, failure = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["item"]["item_index"] for line in answers if "item" in line] == [0, 1, 2]
    assert failure["reason"] == "INVALID_REQUEST"


async def test_stream_that_is_no_gzip_fails_the_call(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/v1/rerank:batch", content=ITEM, headers={"content-encoding": "gzip"})

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")


async def test_coded_lines_are_answered_as_they_come(middleware_address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*middleware_address)
    coder = zlib.compressobj(wbits=31)

    def chunk(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    head = b"POST /v1/rerank:batch HTTP/1.1\r\nhost: g\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head + chunk(coder.compress(ITEM) + coder.flush(zlib.Z_SYNC_FLUSH)))
    await asyncio.wait_for(reader.readuntil(b'"item_index":0'), 5)
    writer.write(chunk(coder.compress(ITEM) + coder.flush()) + b"0\r\n\r\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    writer.close()

    assert b'"items_received":2' in rest


async def test_client_that_leaves_a_coded_stream_cancels_it(middleware_address: tuple[str, int], service: Any) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    service.answer = wait
    _, writer = await asyncio.open_connection(*middleware_address)
    data = gzip.compress(ITEM)
    writer.write(b"POST /v1/rerank:batch HTTP/1.1\r\nhost: g\r\ncontent-encoding: gzip\r\n")
    writer.write(b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(data), data))
    await asyncio.wait_for(started.wait(), 5)
    writer.close()

    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_expansion_is_bounded_where_it_is_large(coding: str) -> None:
    assert sum(map(len, Decoder(coding, 100).pieces(CODED[coding](bytes(2**20))))) == 2**20
    with pytest.raises(UndecodableError, match="more than 100 times"):
        list(Decoder(coding, 100).pieces(CODED[coding](bytes(2**21))))


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_without_content_are_bounded(coding: str) -> None:
    assert b"".join(Decoder(coding).pieces(CODED[coding](b"") * 1000)) == b""
    assert len(b"".join(Decoder(coding).pieces(CODED[coding](bytes(2000)) * 3000))) == 6_000_000
    with pytest.raises(UndecodableError, match="1001 members"):
        list(Decoder(coding).pieces(CODED[coding](b"") * 1001))


def test_bytes_that_stand_for_nothing_are_bounded() -> None:
    with pytest.raises(UndecodableError, match="expand to nothing"):
        list(Decoder("gzip").pieces(CODED["gzip"](b"")[:10] + b"\x00\x00\x00\xff\xff" * 210_000))
