"""Addresses, environment, TLS and channel options."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from rerankd_client import AsyncRerankClient, RerankClient, Unavailable
from rerankd_client.connection import resolve_connection, resolve_target

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RERANKD_ADDRESS", raising=False)
    monkeypatch.delenv("RERANKD_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (None, "127.0.0.1:50051"),
        ("localhost", "localhost:50051"),
        ("localhost:1", "localhost:1"),
        ("::1", "[::1]:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:1", "[::1]:1"),
        ("dns:///a:1", "dns:///a:1"),
        ("unix:/run/r.sock", "unix:/run/r.sock"),
    ],
)
def test_targets(address: str | None, target: str) -> None:
    assert resolve_target(address) == target


def test_an_http_address_is_refused() -> None:
    with pytest.raises(ValueError, match="not a gRPC address"):
        RerankClient("http://localhost:8080")


def test_environment_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_ADDRESS", "there:1")
    monkeypatch.setenv("RERANKD_API_KEY", "secret")

    assert resolve_connection(None, {}).target == "there:1"
    assert resolve_connection("here:1", {}).target == "here:1"
    assert resolve_connection(None, {}).headers == (("authorization", "Bearer secret"),)
    assert resolve_connection(None, {"api_key": ""}).headers == ()
    assert "secret" not in repr(resolve_connection(None, {}))


def test_timeouts() -> None:
    connection = resolve_connection(None, {})

    assert (
        connection.call_timeout_s(None),
        connection.call_timeout_s(1),
        connection.call_timeout_s(math.inf),
    ) == (
        30.0,
        1,
        None,
    )


def test_service_config() -> None:
    policy = json.loads(dict(resolve_connection(None, {}).channel_options)["grpc.service_config"])
    assert policy == json.loads((ROOT / "protos/rerank/v1/service_config.json").read_text())
    once = json.loads(dict(resolve_connection(None, {"max_attempts": 1}).channel_options)["grpc.service_config"])
    assert once.keys() == {"loadBalancingConfig", "healthCheckConfig"}


@pytest.mark.parametrize("address", ["dns:///a:1", "ipv4:10.0.0.1:1,10.0.0.2:1", "a:1", None, "unix:/run/r.sock"])
def test_health_is_checked_where_the_client_balances(address: str | None) -> None:
    options = dict(resolve_connection(address, {}).channel_options)
    is_balanced = (address or "").startswith(("dns:", "ipv4:"))
    assert ("grpc.inhibit_health_checking" not in options) is is_balanced


def test_channel_options() -> None:
    options = dict(resolve_connection(None, {"max_attempts": 3}).channel_options)
    policy = json.loads(options["grpc.service_config"])["methodConfig"][0]["retryPolicy"]

    assert (policy["maxAttempts"], policy["retryableStatusCodes"]) == (3, ["UNAVAILABLE", "CANCELLED"])
    assert options["grpc.max_receive_message_length"] == 64 * 1024 * 1024
    own = resolve_connection(None, {"channel_options": [("grpc.max_receive_message_length", 1)]})
    assert dict(own.channel_options)["grpc.max_receive_message_length"] == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_attempts": 0}, ValueError, "1 to 5"),
        ({"cert_file": __file__}, ValueError, "belong together"),
        ({"retries": 3}, TypeError, "no client option 'retries'"),
        ({"ca_file": "missing.pem"}, OSError, "missing.pem"),
    ],
)
def test_options_that_cannot_be_used(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RerankClient("localhost", **options)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_tls_both_ways(tmp_path: Path, fake: Any) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=rerank.test"
    names = ["-addext", "subjectAltName=DNS:rerank.test", "-keyout", str(key), "-out", str(cert)]
    await asyncio.to_thread(subprocess.run, [*command.split(), *names], check=True, capture_output=True)
    pair = (key.read_bytes(), cert.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], cert.read_bytes(), require_client_auth=True)
    options: Any = {"ca_file": cert, "tls_server_name": "rerank.test", "max_attempts": 1}

    async with fake.run_server(credentials) as server:
        async with AsyncRerankClient(server.address, cert_file=cert, key_file=key, **options) as client:
            assert (await client.rerank("a", ["a"])).results[0].relevance_score == 1.0
        async with AsyncRerankClient(server.address, **options) as client:
            with pytest.raises(Unavailable):
                await client.rerank("a", ["a"])
