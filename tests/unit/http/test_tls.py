"""TLS of both transports: what is trusted and presented, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import ClientName, TlsSettings, TransportSettings
from rerankd.providers.factory import ProviderSettingsError, open_configured_transport
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest
from tests.support.blocking_tls import BlockingTlsServer
from tests.support.certificates import authority, server_context, write_authority, write_client
from tests.support.raw_server import Peer, RawServer, always

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Open = Callable[..., HttpTransport]


@pytest_asyncio.fixture(params=["loop", "httpx"])
async def opened(request: pytest.FixtureRequest, ca_file: Path) -> AsyncIterator[Open]:
    """Opens transports that trust the tests' authority and are closed after the test."""
    name: ClientName = request.param
    usual = TransportSettings(uses_environment_proxy=False, connect_timeout_s=5, ca_file=str(ca_file))
    transports: list[HttpTransport] = []

    def open_with(tls: TlsSettings | None = None, **settings: object) -> HttpTransport:
        texts = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
        transports.append(open_transport(replace(usual, client=name, **texts), tls))
        return transports[-1]

    yield open_with
    for transport in transports:
        await transport.close()


async def get(transport: HttpTransport, url: str) -> bytes:
    return (await transport.send(HttpRequest(url=f"{url}/?key=secret", body=b"{}"), 10)).body


async def failure(transport: HttpTransport, url: str) -> str:
    with pytest.raises(AdapterError) as failed:
        await get(transport, url)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    assert "secret" not in failed.value.message
    return failed.value.message


def write_self_signed(folder: Path, *, is_authority: bool) -> Path:
    """Write what `openssl req -x509 -nodes` makes, key and certificate, with or without CA:FALSE."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("is_authority", [True, False])
async def test_self_signed_certificate_of_a_server_is_trusted_where_it_is_named(
    opened: Open, tmp_path: Path, is_authority: bool
) -> None:
    certificate = write_self_signed(tmp_path, is_authority=is_authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with RawServer(always(OK), tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert await get(opened(ca_file=certificate), url) == b"{}"
        assert "certificate of localhost is not valid: self-signed" in await failure(opened(), url)


async def test_intermediate_certificate_is_trusted_where_it_is_named(opened: Open, tmp_path: Path) -> None:
    intermediate = trustme.CA().create_child_ca()
    ca_file = tmp_path / "intermediate.pem"
    intermediate.cert_pem.write_to_path(str(ca_file))
    async with RawServer(always(OK), tls=server_context(intermediate.issue_cert("127.0.0.1"))) as server:
        assert await get(opened(ca_file=ca_file), server.url) == b"{}"


PAST = datetime.now(UTC) - timedelta(days=1)
REFUSED = {
    "of another host": (lambda: authority().issue_cert("elsewhere.example"), "address mismatch"),
    "expired": (lambda: authority().issue_cert("127.0.0.1", not_after=PAST), "certificate has expired"),
    "of another authority": (lambda: trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
}


@pytest.mark.parametrize(("issue", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_certificate(opened: Open, issue: Callable[[], trustme.LeafCert], reason: str) -> None:
    async with RawServer(always(OK), tls=server_context(issue())) as server:
        message = await failure(opened(), server.url)
    assert message.startswith("the connection failed: the certificate of 127.0.0.1 is not valid: ")
    assert reason in message
    assert not any(peer.requests for peer in server.peers)


async def test_hosts_are_known_by_their_names(opened: Open) -> None:
    async with RawServer(always(OK), tls=server_context(authority().issue_cert("localhost"))) as server:
        assert await get(opened(), server.url.replace("127.0.0.1", "localhost")) == b"{}"
        assert "address mismatch" in await failure(opened(), server.url)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_certificate(opened: Open, tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = server_context(wants_client=True)
    context.minimum_version = context.maximum_version = version
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with BlockingTlsServer(context) as server:
        presenting = opened(client_certificate_file=write_client(tmp_path))
        assert await get(presenting, server.url) == b"{}"
        message = await failure(opened(), server.url)
        assert ("requires a client certificate" if version is ssl.TLSVersion.TLSv1_3 else "handshake fail") in message
        stranger = opened(client_certificate_file=write_client(foreign, trustme.CA()))
        assert "unknown ca" in await failure(stranger, server.url)


async def test_key_in_a_file_of_its_own(opened: Open, tmp_path: Path) -> None:
    issued = authority().issue_cert("client.example")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    files = {"client_certificate_file": tmp_path / "chain.pem", "client_key_file": tmp_path / "key.pem"}
    async with RawServer(always(OK), tls=server_context(wants_client=True)) as server:
        assert await get(opened(**files), server.url) == b"{}"


async def test_name_in_the_certificate_that_is_not_the_host(opened: Open) -> None:
    async with RawServer(always(OK), tls=server_context(authority().issue_cert("tei.internal"))) as server:
        named = opened(TlsSettings(server_name="tei.internal"))
        assert await get(named, server.url) == b"{}"
        other = opened(TlsSettings(server_name="other.internal"))
        assert "the certificate of other.internal is not valid" in await failure(other, server.url)


async def test_certificate_of_another_authority_and_name_where_nothing_is_verified(opened: Open) -> None:
    async with RawServer(always(OK), tls=server_context(trustme.CA().issue_cert("elsewhere.example"))) as server:
        assert await get(opened(TlsSettings(verify=False)), server.url) == b"{}"
        await failure(opened(), server.url)


async def test_own_certificate_of_a_provider_comes_before_that_of_all(opened: Open, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    everybodys = {"client_certificate_file": write_client(foreign, trustme.CA())}
    own = TlsSettings(client_certificate_file=str(write_client(tmp_path)))
    async with RawServer(always(OK), tls=server_context(wants_client=True)) as server:
        assert await get(opened(own, **everybodys), server.url) == b"{}"
        await failure(opened(**everybodys), server.url)


@pytest.mark.parametrize("name", ["loop", "httpx"])
def test_files_that_cannot_be_used(name: ClientName, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(b"secret")
    locked = write_client(tmp_path)
    chain = locked.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption) + chain[1] + chain[2])
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not a certificate")
    for options, problem in (
        ({"ca_file": str(tmp_path / "none.pem")}, "none.pem: No such file"),
        ({"ca_file": str(nonsense)}, "nonsense.pem: it holds no certificate"),
        ({"client_certificate_file": str(nonsense)}, "nonsense.pem: it holds no key"),
        ({"client_certificate_file": str(tmp_path / "none.pem")}, "none.pem: No such file"),
        (
            {"client_certificate_file": str(locked)},
            "client.pem: it holds no key of the certificate, or one with a pass",
        ),
    ):
        with pytest.raises(ProviderSettingsError, match=problem):
            open_configured_transport(TransportSettings(client=name, **options))  # type: ignore[arg-type]  # given by name


async def test_plain_server(opened: Open) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with RawServer(script) as server:
        message = await failure(opened(), server.url.replace("http:", "https:"))
    assert "the server does not speak TLS at this port" in message


async def test_plain_request_to_a_server_of_tls(opened: Open) -> None:
    async with RawServer(always(OK), tls=server_context()) as server:
        await failure(opened(), server.url.replace("https:", "http:"))


async def test_server_without_a_common_version(opened: Open) -> None:
    context = server_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    with BlockingTlsServer(context) as server:
        assert "TLS with 127.0.0.1: " in await failure(opened(), server.url)


async def silent(peer: Peer) -> None:
    await peer.reader.read()


async def test_handshake_that_takes_too_long(opened: Open) -> None:
    async with RawServer(silent) as server:
        transport = opened(connect_timeout_s=0.3)
        await failure(transport, server.url.replace("http:", "https:"))
        async with asyncio.timeout(5):
            await server.peers[0].left.wait()


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_handshake_that_is_broken_off(opened: Open, how: Callable[[Peer], None]) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        how(peer)

    async with RawServer(script) as server:
        await failure(opened(), server.url.replace("http:", "https:"))


async def test_alpn_offers_what_is_spoken(opened: Open) -> None:
    context = server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with RawServer(always(OK), tls=context) as server:
        assert await get(opened(), server.url) == b"{}"
        assert server.peers[0].writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_files_that_are_rotated_are_taken_up_by_the_next_connection(opened: Open, tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    ca_file = tmp_path / "rotated.pem"
    old.cert_pem.write_to_path(str(ca_file))
    foreign = write_client(tmp_path, old)
    transport = opened(TlsSettings(ca_file=str(ca_file), client_certificate_file=str(foreign)))
    context = server_context(new.issue_cert("127.0.0.1"), wants_client=True)
    with BlockingTlsServer(context) as server:
        assert "unable to get local issuer" in await failure(transport, server.url)
        ca_file.write_text("half of a")
        assert "unable to get local issuer" in await failure(transport, server.url)
        new.cert_pem.write_to_path(str(ca_file))
        write_client(tmp_path)
        assert await get(transport, server.url) == b"{}"
        ca_file.unlink()
        assert await get(transport, server.url) == b"{}"


async def test_a_session_ends_with_the_certificates_it_began_with(opened: Open, tmp_path: Path) -> None:
    ca_file = write_authority(tmp_path)
    transport = opened(TlsSettings(ca_file=str(ca_file)), idle_timeout_s=0.01)
    async with RawServer(always(OK), tls=server_context()) as server:
        for added in ("", "\n", "\n\n"):
            ca_file.write_text(ca_file.read_text() + added)
            for _ in range(2):
                assert await get(transport, server.url) == b"{}"
                await asyncio.sleep(0.05)
    assert len(server.peers) == 6
