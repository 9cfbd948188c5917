"""What both transports share beyond the conformance suite: TLS, proxies, reuse, failures without URLs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rerankd.upstream.transport import HttpTransport, TransportSettings, open_transport
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest
from rerankd_adapters.testing import Answer, LoopbackServer

NAMES = ("pyqwest", "httpx")
PLAIN = TransportSettings(uses_environment_proxy=False, connect_timeout_s=2)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest_asyncio.fixture
async def transport(name: str) -> AsyncIterator[HttpTransport]:
    opened = open_transport(name, PLAIN)
    yield opened
    await opened.close()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="must be auto, pyqwest or httpx"):
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


async def test_proxy(name: str) -> None:
    async with LoopbackServer(lambda _: Answer(body=b"{}")) as proxy:
        settings = TransportSettings(proxy=proxy.url.replace("//", "//user:password@"))
        opened = open_transport(name, settings)
        await opened.send(HttpRequest(url="http://provider.invalid/rerank", body=b"{}"), 5)
        await opened.close()
    assert proxy.received[0].path == "http://provider.invalid/rerank"
    assert proxy.received[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNzd29yZA=="


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
async def test_tls(name: str, tmp_path: Path, has_client_certificate: bool) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    ca_file, client_file = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(client_file))
    server = await _tls_server(authority, authority.issue_cert("127.0.0.1"), asks_for_client=has_client_certificate)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    trusting = open_transport(
        name,
        TransportSettings(
            uses_environment_proxy=False,
            ca_file=ca_file,
            client_certificate_file=client_file if has_client_certificate else None,
        ),
    )
    distrusting = open_transport(name, PLAIN)
    assert (await trusting.send(HttpRequest(url=url), 5)).body == b"{}"
    with pytest.raises(AdapterError) as failed:
        await distrusting.send(HttpRequest(url=url), 5)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    await trusting.close()
    await distrusting.close()
    server.close()
