"""What all transports share beyond the conformance suite: TLS, proxies, reuse, failures without URLs."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import ClientName, TransportSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest
from rerankd_adapters.testing import LoopbackServer, ScriptedResponse
from tests.support.certificates import server_context
from tests.support.http2 import Http2Server

GENERAL: tuple[ClientName, ...] = ("auto", "httpx")
"""Those that take every URL and proxy."""
NAMES: tuple[ClientName, ...] = ("loop", "httpx")
Serve = Callable[[Callable[[Any], ScriptedResponse]], LoopbackServer]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> ClientName:
    chosen: ClientName = request.param
    return chosen


@pytest.fixture(params=GENERAL)
def general(request: pytest.FixtureRequest) -> ClientName:
    chosen: ClientName = request.param
    return chosen


@pytest.fixture
def settings(ca_file: Path) -> TransportSettings:
    return TransportSettings(uses_environment_proxy=False, connect_timeout_s=2, ca_file=str(ca_file))


@pytest.fixture(params=["http", "https"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Makes servers, all plain or all with TLS."""
    tls = server_context() if request.param == "https" else None
    return lambda respond: LoopbackServer(respond, tls)


@pytest_asyncio.fixture
async def transport(name: ClientName, settings: TransportSettings) -> AsyncIterator[HttpTransport]:
    opened = open_transport(replace(settings, client=name))
    yield opened
    await opened.close()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="must be auto or loop or httpx, was pyqwest"):
        open_transport(TransportSettings(client="pyqwest"))  # type: ignore[arg-type]  # wrong on purpose


def test_settings_hide_the_proxy() -> None:
    assert "password" not in repr(TransportSettings(proxy="http://user:password@host"))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:password@127.0.0.1:1/path?key=secret",
        "http://user:password@host.invalid/path",
        "ftp://user:password@host/",
        "not a url, password",
        "https://user:password@127.0.0.1:1/",
    ],
)
async def test_unreachable(transport: HttpTransport, url: str) -> None:
    with pytest.raises(AdapterError) as failed:
        await transport.send(HttpRequest(url=url), 5)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    assert "password" not in str(failed.value)
    assert "secret" not in str(failed.value)


async def test_header_that_cannot_be_sent(transport: HttpTransport, serve: Serve) -> None:
    async with serve(lambda _: ScriptedResponse()) as server:
        with pytest.raises(AdapterError) as failed:
            await transport.send(HttpRequest(url=server.url, headers={"authorization": "Bearer a\r\nb: c"}), 5)
    assert "Bearer" not in str(failed.value)


async def test_repeated_calls_reuse_the_connection_and_keep_no_cookies(transport: HttpTransport, serve: Serve) -> None:
    answer = ScriptedResponse(headers={"set-cookie": "session=1"}, body=b"{}")
    async with serve(lambda _: answer) as server:
        for _ in range(3):
            response = await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)
            assert (response.status, response.body) == (200, b"{}")
            assert response.received_unix_s > 1_700_000_000
        assert server.connections == 1
        assert all("cookie" not in received.headers for received in server.received)


async def test_proxy(general: ClientName) -> None:
    async with LoopbackServer(lambda _: ScriptedResponse(body=b"{}")) as proxy:
        settings = TransportSettings(proxy=proxy.url.replace("//", "//user:password@"))
        opened = open_transport(replace(settings, client=general))
        await opened.send(HttpRequest(url="http://provider.invalid/rerank", body=b"{}"), 5)
        await opened.close()
    assert proxy.received[0].path == "http://provider.invalid/rerank"
    assert proxy.received[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNzd29yZA=="


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_proxy_of_the_environment(general: ClientName, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        LoopbackServer(lambda _: ScriptedResponse(body=b"proxied")) as proxy,
        LoopbackServer(lambda _: ScriptedResponse(body=b"direct")) as server,
    ):
        for variable in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        request = HttpRequest(url=server.url.replace("127.0.0.1", host), body=b"{}")
        for uses, body in ((True, b"proxied"), (False, b"direct")):
            opened = open_transport(TransportSettings(client=general, uses_environment_proxy=uses))
            assert (await opened.send(request, 5)).body == body
            await opened.close()


async def test_redirects_are_answers(transport: HttpTransport, serve: Serve) -> None:
    async with serve(lambda _: ScriptedResponse(status=302, headers={"location": "/elsewhere"})) as server:
        response = await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)
    assert (response.status, response.headers["location"]) == (302, "/elsewhere")
    assert len(server.received) == 1


async def test_size_limit_is_of_the_decompressed_body(
    name: ClientName, settings: TransportSettings, serve: Serve
) -> None:
    opened = open_transport(replace(settings, client=name, max_response_bytes=100_000))
    bomb = ScriptedResponse(headers={"content-encoding": "gzip"}, body=gzip.compress(bytes(10_000_000)))
    assert len(bomb.body) < 100_000
    async with serve(lambda _: bomb) as server:
        with pytest.raises(AdapterError, match="larger than 100000 bytes") as failed:
            await opened.send(HttpRequest(url=server.url, body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind.BAD_RESPONSE
    await opened.close()


GZIPPED = gzip.compress(bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (ScriptedResponse(headers={"content-encoding": "gzip"}, body=b"not gzip"), "BAD_RESPONSE", "decompressed"),
        (
            ScriptedResponse(headers={"content-encoding": "gzip"}, body=GZIPPED, breaks_after_bytes=40),
            "UNAVAILABLE",
            "the connection failed",
        ),
        (ScriptedResponse(body=b"whole", breaks_after_bytes=2), "UNAVAILABLE", "the connection failed"),
        (ScriptedResponse(body=b"whole", breaks_after_bytes=-1), "UNAVAILABLE", "the connection failed"),
    ],
)
async def test_broken_body(
    transport: HttpTransport, answer: ScriptedResponse, kind: str, message: str, serve: Serve
) -> None:
    async with serve(lambda _: answer) as server:
        with pytest.raises(AdapterError, match=message) as failed:
            await transport.send(HttpRequest(url=f"{server.url}/?key=secret", body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind[kind]
    assert "127.0.0.1" not in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_silence(name: ClientName, settings: TransportSettings, stalls_after_bytes: int, serve: Serve) -> None:
    opened = open_transport(replace(settings, client=name, read_timeout_s=0.3))
    answer = ScriptedResponse(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with serve(lambda _: answer) as server:
        with pytest.raises(AdapterError, match="silent for too long") as failed:
            await opened.send(HttpRequest(url=server.url, body=b"{}"), 30)
        assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
        async with asyncio.timeout(10):
            await server.client_left.wait()
    await opened.close()


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_timeout_closes_the_connection(transport: HttpTransport, stalls_after_bytes: int, serve: Serve) -> None:
    answer = ScriptedResponse(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with serve(lambda _: answer) as server:
        with pytest.raises(AdapterError) as failed:
            await transport.send(HttpRequest(url=server.url, body=b"{}"), 0.3)
        assert failed.value.kind is AdapterErrorKind.TIMEOUT
        async with asyncio.timeout(10):
            await server.client_left.wait()


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_cancelling_closes_the_connection(
    transport: HttpTransport, stalls_after_bytes: int, serve: Serve
) -> None:
    answer = ScriptedResponse(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with serve(lambda _: answer) as server:
        task = asyncio.create_task(transport.send(HttpRequest(url=server.url, body=b"{}"), 30))
        async with asyncio.timeout(10):
            await server.first_request.wait()
            task.cancel()
            await server.client_left.wait()
        assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_closing_ends_requests_under_way(transport: HttpTransport, serve: Serve) -> None:
    async with serve(lambda _: ScriptedResponse(body=b"never whole", stalls_after_bytes=-1)) as server:
        task = asyncio.create_task(transport.send(HttpRequest(url=server.url, body=b"{}"), 30))
        async with asyncio.timeout(10):
            await server.first_request.wait()
            await transport.close()
            with pytest.raises(AdapterError, match="the connection failed") as failed:
                await task
            await server.client_left.wait()
        assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
        with pytest.raises(AdapterError, match="closed from this side"):
            await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)


@pytest_asyncio.fixture
async def http2_server() -> AsyncIterator[Http2Server]:
    async with Http2Server(server_context()) as server:
        yield server


@pytest_asyncio.fixture
async def http2(general: ClientName, settings: TransportSettings) -> AsyncIterator[HttpTransport]:
    opened = open_transport(replace(settings, client=general, http2=True))
    yield opened
    await opened.close()


async def test_http2_carries_calls_side_by_side(http2: HttpTransport, http2_server: Http2Server) -> None:
    def request(position: int) -> HttpRequest:
        return HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/rerank", body=b"%d" % position)

    assert (await http2.send(request(0), 10)).body == b"0"
    http2_server.together = 8
    responses = await asyncio.gather(*(http2.send(request(position), 10) for position in range(8)))
    assert [response.body for response in responses] == [b"%d" % position for position in range(8)]
    assert http2_server.connections == ["h2"]


async def test_cancelling_keeps_a_shared_connection(http2: HttpTransport, http2_server: Http2Server) -> None:
    request = HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/rerank", body=b"{}")
    assert (await http2.send(request, 10)).body == b"{}"
    http2_server.together = 0
    task = asyncio.create_task(http2.send(request, 30))
    async with asyncio.timeout(10):
        for _ in range(2):
            await http2_server.requests.get()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    http2_server.together = 1
    assert (await http2.send(request, 10)).body == b"{}"
    assert http2_server.connections == ["h2"]


async def test_http2_is_used_only_where_it_is_wanted(transport: HttpTransport, http2_server: Http2Server) -> None:
    with pytest.raises(AdapterError) as failed:
        await transport.send(HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/", body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    assert "h2" not in http2_server.connections
