"""TLS of both listeners: certificates, their rotation without a dropped call, and callers' certificates."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from rerankd.http.listener_tls import ListenerCertificates, ListenerTls
from rerankd.serving.listening import CannotStartError
from rerankd.serving.service import Service
from rerankd.settings import ServerSettings, Settings, SettingsError, load_settings
from rerankd_client import RerankClient, RerankError
from tests.support.certificates import HOST, authority, write_authority
from tests.support.server import ServerProcess

BODY = json.dumps({"model": "local/bm25", "query": "a", "documents": ["b"]})
HEADERS = {"content-type": "application/json"}


def write(folder: Path, issued: trustme.LeafCert) -> tuple[Path, Path]:
    """Write a certificate and its key, as a rotation does."""
    chain, key = folder / "server.pem", folder / "server.key"
    issued.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return chain, key


def issue(name: str) -> trustme.LeafCert:
    return authority().issue_cert(HOST, "localhost", f"{name}.example")


class Guarded:
    """A server with TLS, and the folder of its certificates."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        chain, key = write(folder, issue("first"))
        self.ca = write_authority(folder)
        tls = {"certificate_file": str(chain), "key_file": str(key), **more}
        self.process = ServerProcess(environment={"RERANKD_SERVER__TLS": json.dumps(tls)})
        self.port = int(self.process.http_url.rpartition(":")[2])

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    @contextmanager
    def connect(self, context: ssl.SSLContext | None = None) -> Iterator[http.client.HTTPSConnection]:
        connection = http.client.HTTPSConnection(HOST, self.port, context=context or self.context(), timeout=30)
        with closing(connection):
            connection.connect()
            yield connection

    def names(self) -> set[str]:
        """Return the names of the certificates that new connections to both listeners are shown."""
        found: set[str] = set()
        context = self.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        for port in (self.port, int(self.process.grpc_address.rpartition(":")[2])):
            with (
                socket.create_connection((HOST, port)) as plain,
                context.wrap_socket(plain, server_hostname=HOST) as tls,
            ):
                certificate: Any = tls.getpeercert()
            found |= {value for kind, value in certificate["subjectAltName"] if value.endswith(".example")}
        return found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    opened = Guarded(tmp_path)
    yield opened
    assert opened.process.stop() == 0


def call(connection: http.client.HTTPSConnection) -> int:
    connection.request("POST", "/v1/rerank", BODY, HEADERS)
    response = connection.getresponse()
    response.read()
    return response.status


def test_both_listeners_speak_tls_and_nothing_else(guarded: Guarded) -> None:
    with guarded.connect() as connection:
        assert call(connection) == 200
    with RerankClient(guarded.process.grpc_address, ca_file=guarded.ca) as client:
        assert client.rerank("a", ["b"], model="local/bm25").results
    with pytest.raises(httpx.HTTPError):
        httpx.get(guarded.process.http_url, trust_env=False)
    with RerankClient(guarded.process.grpc_address, max_attempts=1) as client, pytest.raises(RerankError):
        client.rerank("a", ["b"], model="local/bm25", timeout_s=2)
    with pytest.raises(ssl.SSLCertVerificationError), guarded.connect(ssl.create_default_context()):
        raise AssertionError


def test_a_new_certificate_is_shown_to_new_connections_and_drops_none(guarded: Guarded) -> None:
    with guarded.connect() as old, RerankClient(guarded.process.grpc_address, ca_file=guarded.ca) as client:
        client.rerank("a", ["b"], model="local/bm25")
        assert guarded.names() == {"first.example"}
        write(guarded.folder, issue("second"))
        assert guarded.names() == {"second.example"}
        assert call(old) == 200
        client.rerank("a", ["b"], model="local/bm25")
    with RerankClient(guarded.process.grpc_address, ca_file=guarded.ca) as client:
        client.rerank("a", ["b"], model="local/bm25")
    guarded.process.wait_for_log("changed TLS files taken up")


def test_a_certificate_that_cannot_be_used_is_not_taken_up(guarded: Guarded) -> None:
    (guarded.folder / "server.pem").write_text("half of a certif")
    assert guarded.names() == {"first.example"}
    (guarded.folder / "server.pem").unlink()
    assert guarded.names() == {"first.example"}
    guarded.process.wait_for_log("changed TLS file not taken up")
    write(guarded.folder, issue("third"))
    assert guarded.names() == {"third.example"}


def test_callers_without_a_certificate_are_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, client_ca_file=str(write_authority(tmp_path)))
    stranger = trustme.CA().issue_cert("stranger.example")
    for issued in (None, stranger):
        context = guarded.context()
        if issued is not None:
            issued.configure_cert(context)
        refusals = (ssl.SSLError, ConnectionError, http.client.HTTPException)
        with pytest.raises(refusals), guarded.connect(context) as connection:
            call(connection)
    known = authority().issue_cert("client.example")
    context = guarded.context()
    known.configure_cert(context)
    with guarded.connect(context) as connection:
        assert call(connection) == 200
    roots, key = guarded.ca.read_bytes(), known.private_key_pem.bytes()
    for credentials, is_admitted in (
        (grpc.ssl_channel_credentials(roots), False),
        (grpc.ssl_channel_credentials(roots, key, known.cert_chain_pems[0].bytes()), True),
    ):
        with grpc.secure_channel(guarded.process.grpc_address, credentials) as channel:
            ready = grpc.channel_ready_future(channel)
            if is_admitted:
                ready.result(timeout=20)
            else:
                with pytest.raises(grpc.FutureTimeoutError):
                    ready.result(timeout=2)
    assert guarded.process.stop() == 0


def test_files_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    chain, key = write(tmp_path, issue("first"))
    other_key = tmp_path / "other.key"
    issue("other").private_key_pem.write_to_path(str(other_key))
    (tmp_path / "text.pem").write_text("text")
    for files, named in (
        ((str(tmp_path / "missing.pem"), str(key), ""), "missing.pem"),
        ((str(chain), str(other_key), ""), "server.pem"),
        ((str(chain), str(key), str(tmp_path / "text.pem")), "text.pem"),
    ):
        tls = ListenerTls(certificate_file=files[0], key_file=files[1], client_ca_file=files[2])
        with pytest.raises(OSError, match=named):
            ListenerCertificates(tls)
        with pytest.raises(CannotStartError, match=r"server\.tls: .*" + named):
            Service(Settings(server=ServerSettings(tls=tls)))


def test_a_key_without_a_certificate_is_said(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text("server: {tls: {key_file: a.pem}}")
    with pytest.raises(SettingsError, match=r"server\.tls\.certificate_file is empty"):
        load_settings(file)


def test_revocation_lists_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    chain, key = write(tmp_path, issue("first"))
    (tmp_path / "text.pem").write_text("text")
    tls = ListenerTls(
        certificate_file=str(chain),
        key_file=str(key),
        client_ca_file=str(write_authority(tmp_path)),
        client_crl_file=str(tmp_path / "text.pem"),
    )
    with pytest.raises(
        CannotStartError, match=r"server\.tls: .*text\.pem: it holds no PEM certificate revocation list"
    ):
        Service(Settings(server=ServerSettings(tls=tls)))
    file = tmp_path / "rerankd.yaml"
    file.write_text(f"server: {{tls: {{certificate_file: {chain}, client_crl_file: text.pem}}}}")
    with pytest.raises(SettingsError, match=r"client_crl_file has no effect without server\.tls\.client_ca_file"):
        load_settings(file)
