"""What all transports share beyond the conformance suite: TLS, proxies, reuse, failures without URLs."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from h2.errors import ErrorCodes

from rerankd.http.transport import HttpTransport, TransportSettings, open_transport
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest
from rerankd_adapters.testing import Answer, LoopbackServer
from tests.support.http2 import Http2Server

GENERAL = ("auto", "pyqwest", "httpx")
"""Those that take every URL and proxy."""
NAMES = ("loop", "pyqwest", "httpx")
PLAIN = TransportSettings(uses_environment_proxy=False, connect_timeout_s=2)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=GENERAL)
def general(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def transport(name: str) -> AsyncIterator[HttpTransport]:
    opened = open_transport(name, PLAIN)
    yield opened
    await opened.close()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="must be auto, loop, pyqwest or httpx"):
        open_transport("carrier-pigeon")


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


async def test_header_that_cannot_be_sent(transport: HttpTransport) -> None:
    async with LoopbackServer(lambda _: Answer()) as server:
        with pytest.raises(AdapterError) as failed:
            await transport.send(HttpRequest(url=server.url, headers={"authorization": "Bearer a\r\nb: c"}), 5)
    assert "Bearer" not in str(failed.value)


async def test_repeated_calls_reuse_the_connection_and_keep_no_cookies(transport: HttpTransport) -> None:
    answer = Answer(headers={"set-cookie": "session=1"}, body=b"{}")
    async with LoopbackServer(lambda _: answer) as server:
        for _ in range(3):
            response = await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)
            assert (response.status, response.body) == (200, b"{}")
            assert response.received_unix_s > 1_700_000_000
        assert server.connections == 1
        assert all("cookie" not in received.headers for received in server.received)


async def test_proxy(general: str) -> None:
    async with LoopbackServer(lambda _: Answer(body=b"{}")) as proxy:
        settings = TransportSettings(proxy=proxy.url.replace("//", "//user:password@"))
        opened = open_transport(general, settings)
        await opened.send(HttpRequest(url="http://provider.invalid/rerank", body=b"{}"), 5)
        await opened.close()
    assert proxy.received[0].path == "http://provider.invalid/rerank"
    assert proxy.received[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNzd29yZA=="


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_proxy_of_the_environment(general: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        LoopbackServer(lambda _: Answer(body=b"proxied")) as proxy,
        LoopbackServer(lambda _: Answer(body=b"direct")) as server,
    ):
        for variable in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        request = HttpRequest(url=server.url.replace("127.0.0.1", host), body=b"{}")
        for uses, body in ((True, b"proxied"), (False, b"direct")):
            opened = open_transport(general, TransportSettings(uses_environment_proxy=uses))
            assert (await opened.send(request, 5)).body == body
            await opened.close()


async def test_redirects_are_answers(transport: HttpTransport) -> None:
    async with LoopbackServer(lambda _: Answer(status=302, headers={"location": "/elsewhere"})) as server:
        response = await transport.send(HttpRequest(url=server.url, body=b"{}"), 5)
    assert (response.status, response.headers["location"]) == (302, "/elsewhere")
    assert len(server.received) == 1


async def test_size_limit_is_of_the_decompressed_body(name: str) -> None:
    opened = open_transport(name, TransportSettings(uses_environment_proxy=False, max_response_bytes=100_000))
    bomb = Answer(headers={"content-encoding": "gzip"}, body=gzip.compress(bytes(10_000_000)))
    assert len(bomb.body) < 100_000
    async with LoopbackServer(lambda _: bomb) as server:
        with pytest.raises(AdapterError, match="larger than 100000 bytes") as failed:
            await opened.send(HttpRequest(url=server.url, body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind.BAD_RESPONSE
    await opened.close()


GZIPPED = gzip.compress(bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(headers={"content-encoding": "gzip"}, body=b"not gzip"), "BAD_RESPONSE", "decompressed"),
        (
            Answer(headers={"content-encoding": "gzip"}, body=GZIPPED, breaks_after_bytes=40),
            "UNAVAILABLE",
            "the connection failed",
        ),
        (Answer(body=b"whole", breaks_after_bytes=2), "UNAVAILABLE", "the connection failed"),
        (Answer(body=b"whole", breaks_after_bytes=-1), "UNAVAILABLE", "the connection failed"),
    ],
)
async def test_broken_body(transport: HttpTransport, answer: Answer, kind: str, message: str) -> None:
    async with LoopbackServer(lambda _: answer) as server:
        with pytest.raises(AdapterError, match=message) as failed:
            await transport.send(HttpRequest(url=f"{server.url}/?key=secret", body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind[kind]
    assert "127.0.0.1" not in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_silence(name: str, stalls_after_bytes: int) -> None:
    opened = open_transport(name, TransportSettings(uses_environment_proxy=False, read_timeout_s=0.3))
    answer = Answer(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with LoopbackServer(lambda _: answer) as server:
        with pytest.raises(AdapterError, match="silent for too long") as failed:
            await opened.send(HttpRequest(url=server.url, body=b"{}"), 30)
        assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
        async with asyncio.timeout(10):
            await server.client_left.wait()
    await opened.close()


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_timeout_closes_the_connection(transport: HttpTransport, stalls_after_bytes: int) -> None:
    answer = Answer(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with LoopbackServer(lambda _: answer) as server:
        with pytest.raises(AdapterError) as failed:
            await transport.send(HttpRequest(url=server.url, body=b"{}"), 0.3)
        assert failed.value.kind is AdapterErrorKind.TIMEOUT
        async with asyncio.timeout(10):
            await server.client_left.wait()


@pytest.mark.parametrize("stalls_after_bytes", [-1, 4], ids=["before the head", "after the head"])
async def test_cancelling_closes_the_connection(transport: HttpTransport, stalls_after_bytes: int) -> None:
    answer = Answer(body=b"never whole", stalls_after_bytes=stalls_after_bytes)
    async with LoopbackServer(lambda _: answer) as server:
        task = asyncio.create_task(transport.send(HttpRequest(url=server.url, body=b"{}"), 30))
        async with asyncio.timeout(10):
            await server.first_request.wait()
            task.cancel()
            await server.client_left.wait()
        assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_closing_ends_requests_under_way(transport: HttpTransport) -> None:
    async with LoopbackServer(lambda _: Answer(body=b"never whole", stalls_after_bytes=-1)) as server:
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


async def _tls_server(authority: object, certificate: object, *, asks_for_client: bool = False) -> asyncio.Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # type: ignore[attr-defined]
    if asks_for_client:
        authority.configure_trust(context)  # type: ignore[attr-defined]
        context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize("has_client_certificate", [False, True])
async def test_tls(general: str, tmp_path: Path, has_client_certificate: bool) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    ca_file, client_file = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(client_file))
    server = await _tls_server(authority, authority.issue_cert("127.0.0.1"), asks_for_client=has_client_certificate)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    trusting = open_transport(
        general,
        TransportSettings(
            uses_environment_proxy=False,
            ca_file=ca_file,
            client_certificate_file=client_file if has_client_certificate else None,
        ),
    )
    distrusting = open_transport(general, PLAIN)
    assert (await trusting.send(HttpRequest(url=url), 5)).body == b"{}"
    with pytest.raises(AdapterError) as failed:
        await distrusting.send(HttpRequest(url=url), 5)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    await trusting.close()
    await distrusting.close()
    server.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest_asyncio.fixture
async def http2_server(authority: trustme.CA) -> AsyncIterator[Http2Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Http2Server(context) as server:
        yield server


@pytest_asyncio.fixture
async def trusting(general: str, authority: trustme.CA, tmp_path: Path) -> AsyncIterator[HttpTransport]:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    opened = open_transport(general, TransportSettings(uses_environment_proxy=False, ca_file=ca_file))
    yield opened
    await opened.close()


async def test_http2_carries_calls_side_by_side(trusting: HttpTransport, http2_server: Http2Server) -> None:
    def request(position: int) -> HttpRequest:
        return HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/rerank", body=b"%d" % position)

    assert (await trusting.send(request(0), 10)).body == b"0"
    http2_server.together = 8
    responses = await asyncio.gather(*(trusting.send(request(position), 10) for position in range(8)))
    assert [response.body for response in responses] == [b"%d" % position for position in range(8)]
    assert http2_server.connections == ["h2"]


async def test_cancelling_keeps_a_shared_connection(
    general: str, trusting: HttpTransport, http2_server: Http2Server
) -> None:
    request = HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/rerank", body=b"{}")
    assert (await trusting.send(request, 10)).body == b"{}"
    http2_server.together = 0
    task = asyncio.create_task(trusting.send(request, 30))
    async with asyncio.timeout(10):
        for _ in range(2):
            await http2_server.requests.get()
        task.cancel()
        if general != "httpx":  # httpcore sends no RST_STREAM: docs/decisions/0006
            assert await http2_server.reset_with.get() == ErrorCodes.CANCEL
        await asyncio.gather(task, return_exceptions=True)
    http2_server.together = 1
    assert (await trusting.send(request, 10)).body == b"{}"
    assert http2_server.connections == ["h2"]


async def test_http2_can_be_left_aside(
    general: str, http2_server: Http2Server, authority: trustme.CA, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    opened = open_transport(general, TransportSettings(uses_environment_proxy=False, ca_file=ca_file, uses_http2=False))
    with pytest.raises(AdapterError) as failed:
        await opened.send(HttpRequest(url=f"https://127.0.0.1:{http2_server.port}/", body=b"{}"), 5)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    assert "h2" not in http2_server.connections
    await opened.close()
