"""Callers whose certificate was revoked, on a live server: no call of either transport is answered."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rerankd.access.key_format import digest_of, new_secret
from tests.e2e.test_access import reason_of
from tests.e2e.test_client_certificates import Client, Guarded
from tests.support.certificates import HOST, authority, issue_client, revocation_list, write_authority
from tests.support.server import ServerProcess

KEY = new_secret()
NAME = x509.DNSName("client.example")
REFUSED = ["API_KEY_INVALID"] * 2
ANSWERED = ["", ""]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("revoked")
    ca = write_authority(folder)
    issued = authority().issue_cert(HOST, "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "crl.pem").write_bytes(revocation_list())
    tls = {
        "certificate_file": str(folder / "server.pem"),
        "client_ca_file": str(ca),
        "client_crl_file": str(folder / "crl.pem"),
    }
    access = {
        "enabled": True,
        "certificates": [{"dns": "client.example"}],
        "keys": {"k": {"hash": digest_of(KEY)}},
    }
    store = {"state_dir": str(folder / "state")}
    file = folder / "rerankd.yaml"
    file.write_text(
        yaml.safe_dump({"default_model": "local/bm25", "server": {"tls": tls}, "access": access, "store": store})
    )
    process = ServerProcess("--config", str(file))
    yield Guarded(folder, process)
    assert process.stop() == 0


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until a changed list counts: within a second, by far less than this."""
    until_s = time.monotonic() + 20
    while not holds() and time.monotonic() < until_s:
        time.sleep(0.1)
    assert holds()


def test_a_revoked_certificate_is_refused_and_others_go_on(guarded: Guarded) -> None:
    revoked, good = guarded.client(NAME), guarded.client(NAME)
    assert guarded.http(revoked) == guarded.grpc(revoked) == ANSWERED
    (guarded.folder / "crl.pem").write_bytes(revocation_list(revoked.certificate))
    wait_until(lambda: guarded.http(revoked) == guarded.grpc(revoked) == REFUSED)
    assert guarded.http(good) == guarded.grpc(good) == ANSWERED
    headers = {"authorization": f"Bearer {KEY}"}  # nor does a key make up for it
    assert guarded.http(revoked, headers=headers) == guarded.grpc(revoked, headers=headers) == REFUSED


def test_connections_that_are_open_are_refused_as_well(guarded: Guarded) -> None:
    client = guarded.client(NAME)
    port = int(guarded.process.http_url.rpartition(":")[2])
    credentials = grpc.ssl_channel_credentials((guarded.folder / "ca.pem").read_bytes(), client.key, client.certificate)
    with (
        closing(http.client.HTTPSConnection(HOST, port, context=client.context(), timeout=30)) as connection,
        grpc.secure_channel(guarded.process.grpc_address, credentials) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        listing = reflection_pb2.ServerReflectionRequest(list_services="")

        def status(path: str) -> int:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        assert [status(path) for path in ("/health", "/", "/v1/models")] == [200] * 3
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        assert len(list(reflection.ServerReflectionInfo(iter([listing])))) == 1
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        (guarded.folder / "crl.pem").write_bytes(revocation_list(client.certificate))
        wait_until(lambda: status("/health") == 401)
        assert {status(path) for path in ("/", "/v1/models", "/docs", "/none", "/api/session")} == {401}
        calls: list[Callable[[], Any]] = [
            lambda: health.Check(health_pb2.HealthCheckRequest()),
            lambda: next(health.Watch(health_pb2.HealthCheckRequest())),
            lambda: next(reflection.ServerReflectionInfo(iter([listing]))),
        ]
        for call in calls:
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert reason_of(refused.value) == "API_KEY_INVALID"


def test_a_list_that_has_expired_is_warned_of_and_counts(guarded: Guarded) -> None:
    revoked, good = guarded.client(NAME), guarded.client(NAME)
    (guarded.folder / "crl.pem").write_bytes(revocation_list(revoked.certificate, ends=timedelta(days=-1)))
    wait_until(lambda: guarded.http(revoked) == REFUSED)
    assert guarded.grpc(revoked) == REFUSED
    assert guarded.http(good) == guarded.grpc(good) == ANSWERED
    assert guarded.process.wait_for_log("a certificate revocation list has expired")["level"] == "warning"


def test_revocation_needs_no_rules_of_access(tmp_path: Path) -> None:
    """Where authentication is that of the connections alone, too."""
    ca = write_authority(tmp_path)
    issued = authority().issue_cert(HOST, "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    revoked, good = (Client(tmp_path, *issue_client(NAME)) for _ in range(2))
    (tmp_path / "crl.pem").write_bytes(revocation_list(revoked.certificate))
    tls = {
        "certificate_file": str(tmp_path / "server.pem"),
        "client_ca_file": str(ca),
        "client_crl_file": str(tmp_path / "crl.pem"),
    }
    file = tmp_path / "rerankd.yaml"
    store = {"state_dir": str(tmp_path / "state")}
    file.write_text(yaml.safe_dump({"default_model": "local/bm25", "server": {"tls": tls}, "store": store}))
    opened = Guarded(tmp_path, ServerProcess("--config", str(file)))
    assert opened.http(revoked) == opened.grpc(revoked) == REFUSED
    assert opened.http(good) == opened.grpc(good) == ANSWERED
    assert opened.process.stop() == 0
