"""Cross-origin calls, times, and what HTTP/1.1 clients expect of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.contract.response_headers import server_timing
from rerankd.http.settings import ListenerSettings, http_problems

ORIGIN = "https://search.example.com"
ALLOWED = ListenerSettings(allowed_origins=[ORIGIN])
ANY = ListenerSettings(allowed_origins=["*"])
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
BODY = {"query": "q", "documents": ["a"]}


def cross_origin(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


async def test_nobody_else_may_call_by_default(browser: httpx.AsyncClient) -> None:
    call = await browser.post("/v1/rerank", json=BODY, headers={"origin": ORIGIN})
    asked = await browser.options("/v1/rerank", headers={"origin": ORIGIN, **PREFLIGHT})

    assert (call.status_code, cross_origin(call), cross_origin(asked)) == (200, set(), set())


@pytest.mark.parametrize("options", [ALLOWED])
@pytest.mark.parametrize("status", [200, 404])
async def test_allowed_origin_reads_answers_and_errors(browser: httpx.AsyncClient, status: int) -> None:
    path = "/v1/rerank" if status == 200 else "/nothing"
    answer = await browser.post(path, json=BODY, headers={"origin": ORIGIN})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["vary"] == "origin"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("options", [ALLOWED])
async def test_preflight_of_an_allowed_origin(browser: httpx.AsyncClient) -> None:
    answer = await browser.options("/v1/rerank", headers={"origin": ORIGIN, **PREFLIGHT})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-methods"] == answer.headers["allow"] == "OPTIONS, POST"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"


@pytest.mark.parametrize("options", [ALLOWED])
@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", ORIGIN + ".evil.org", "http://search.example.com"]
)
async def test_other_origins_get_nothing(browser: httpx.AsyncClient, origin: str) -> None:
    call = await browser.post("/v1/rerank", json=BODY, headers={"origin": origin})
    asked = await browser.options("/v1/rerank", headers={"origin": origin, **PREFLIGHT})

    assert (cross_origin(call), cross_origin(asked)) == (set(), set())
    assert call.headers["vary"] == asked.headers["vary"] == "origin"


@pytest.mark.parametrize("options", [ANY])
async def test_any_origin(browser: httpx.AsyncClient) -> None:
    call = await browser.post("/v1/rerank", json=BODY, headers={"origin": "null"})
    asked = await browser.options("/v1/rerank", headers={"origin": ORIGIN, **PREFLIGHT})
    plain = await browser.post("/v1/rerank", json=BODY)

    assert call.headers["access-control-allow-origin"] == asked.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-methods" in asked.headers
    assert cross_origin(plain) == set()


@pytest.mark.parametrize("origin", ["https://host/", "https://host/path", "host", "", "https://", "*.example.com"])
def test_what_is_no_origin(origin: str) -> None:
    [problem] = http_problems(ListenerSettings(allowed_origins=[origin]), "server.http")

    assert problem.startswith("server.http.allowed_origins must be")


@pytest.mark.parametrize("origin", ["*", "https://host", "http://localhost:3000", "chrome-extension://abc"])
def test_what_is_an_origin(origin: str) -> None:
    assert http_problems(ListenerSettings(allowed_origins=[origin]), "server.http") == []


def test_compression_limit_is_not_negative() -> None:
    assert len(http_problems(ListenerSettings(compress_from_bytes=-1), "server.http")) == 1


async def test_times_of_a_call(browser: httpx.AsyncClient, service: Any) -> None:
    async def answer(*_: Any) -> messages.RerankResponse:
        return messages.RerankResponse(extra_fields=messages.ExtraFields(latency=12.5))

    service.answer = answer
    timed = await browser.post("/v1/rerank", json=BODY)

    assert timed.headers["server-timing"] == "total;dur=12.500"
    assert "server-timing" not in (await browser.get("/health")).headers


def test_times_with_chunks() -> None:
    chunks = [messages.ChunkDetail(latency_ms=7.0), messages.ChunkDetail(latency_ms=9.0)]
    timing = server_timing(messages.ExtraFields(latency=10.0, chunks=chunks))

    assert timing == "total;dur=10.000, provider;dur=9.000, rerankd;dur=1.000"


class Connection:
    """A bare HTTP/1.1 client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Connection:
        return cls(*await asyncio.open_connection(*address))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> str:
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5)


HEAD = b"POST /v1/rerank HTTP/1.1\r\nhost: g\r\nconnection: close\r\n"
JSON = b'{"query":"q","documents":["a"]}'


async def test_client_is_told_to_continue(middleware_address: tuple[str, int]) -> None:
    connection = await Connection.open(middleware_address)
    connection.send(HEAD + b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % len(JSON))
    assert (await connection.head()).startswith("http/1.1 100")
    connection.send(JSON)
    assert (await connection.head()).startswith("http/1.1 200")
    await connection.rest()
    connection.writer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"content-length: 300000\r\n", "413"),
        (b"content-length: 30\r\ncontent-type: text/plain\r\n", "415"),
        (b"content-length: 30\r\ncontent-encoding: br\r\n", "415"),
    ],
)
async def test_client_is_not_told_to_continue_what_is_refused(
    middleware_address: tuple[str, int], headers: bytes, status: str
) -> None:
    connection = await Connection.open(middleware_address)
    connection.send(HEAD + headers + b"expect: 100-continue\r\n\r\n")
    assert (await connection.head()).startswith(f"http/1.1 {status}")
    connection.writer.close()


async def test_chunked_body_over_the_limit_is_refused_while_it_comes(middleware_address: tuple[str, int]) -> None:
    connection = await Connection.open(middleware_address)
    connection.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"40000\r\n" + b" " * 0x40000 + b"\r\n")
    assert (await connection.head()).startswith("http/1.1 413")
    connection.writer.close()


async def test_chunked_body(middleware_address: tuple[str, int]) -> None:
    connection = await Connection.open(middleware_address)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in JSON)
    connection.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert (await connection.head()).startswith("http/1.1 200")
    await connection.rest()
    connection.writer.close()


@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/docs", "/v1/models", "/v1/models/a/b"])
async def test_head_is_get_without_its_body(middleware_address: tuple[str, int], path: str) -> None:
    async with httpx.AsyncClient(base_url="http://{}:{}".format(*middleware_address), trust_env=False) as client:
        plain = {"accept-encoding": "identity"}
        get, head = await client.get(path, headers=plain), await client.head(path, headers=plain)

    volatile = {"x-request-id", "date", "content-length"}
    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
    assert {k: v for k, v in get.headers.items() if k not in volatile} == {
        k: v for k, v in head.headers.items() if k not in volatile
    }
    assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD"])
async def test_other_methods(middleware_address: tuple[str, int], method: str) -> None:
    async with httpx.AsyncClient(base_url="http://{}:{}".format(*middleware_address), trust_env=False) as client:
        answer = await client.request(method, "/v1/rerank")

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


async def test_request_id_is_on_every_answer(browser: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/health"), ("OPTIONS", "/v1/rerank"), ("GET", "/nothing"), ("PUT", "/v1/rerank")):
        answer = await browser.request(method, path, headers={"x-request-id": "mine"})
        assert answer.headers["x-request-id"] == "mine"
