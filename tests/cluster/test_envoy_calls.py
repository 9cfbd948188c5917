"""What Envoy with our settings does to single calls: balances them, speaks gRPC-Web, checks tokens."""

from __future__ import annotations

import asyncio
import base64
import collections
import hashlib
import hmac
import json
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client import RerankClient, Unauthenticated
from tests.cluster.replicas import Cluster
from tests.support.envoy import ROOT
from tests.support.transports import METHOD
from tests.support.waiting import until

ORIGIN = "https://search.example.com"
SECRET = b"a secret of thirty-two characters"
ISSUER = "https://issuer.example.com"
MESSAGE = pb.RerankRequest(
    model="local/bm25", query="bees", documents=[pb.Document(text="honey"), pb.Document(text="bees")]
)
BODY = {"model": "local/bm25", "query": "bees", "documents": ["honey", "bees"]}
SETTINGS = {"server": {"drain_delay_s": 0}, "log": {"sample": 1.0}}
CALLS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("envoy"), SETTINGS, 2, origins=[ORIGIN]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("guarded")
    with Cluster(folder, SETTINGS, 1, filters=[token_filter(folder)]) as cluster:
        yield cluster


def token_filter(folder: Path) -> dict[str, Any]:
    """Return the filter of the example, with a key of the test."""
    key = {"kty": "oct", "alg": "HS256", "k": encoded(SECRET)}
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": [key]}))
    content: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "envoy" / "jwt.yaml").read_text(encoding="utf-8"))
    content["typed_config"]["providers"]["callers"]["local_jwks"] = {"filename": str(file)}
    return content


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def token(secret: bytes = SECRET, **claims: Any) -> str:
    content = {"iss": ISSUER, "aud": "rerankd", "sub": "search", "exp": int(time.time()) + 300, **claims}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, content))
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def test_calls_of_one_connection_reach_every_replica(cluster: Cluster) -> None:
    asyncio.run(until(lambda: cluster.healthy("grpc") == cluster.healthy("http") == 2))
    with (
        RerankClient(cluster.envoy.address, max_attempts=1) as client,
        httpx.Client(base_url=cluster.envoy.url, trust_env=False) as http,
    ):
        for _ in range(CALLS):
            assert client.rerank("bees", ["honey", "bees"], model="local/bm25").results[0].index == 1
            assert http.post("/v1/rerank", json=BODY).status_code == 200
    asyncio.run(until(lambda: sum(len(each.server.calls()) for each in cluster.replicas) == 2 * CALLS))
    for each in cluster.replicas:
        counts = collections.Counter(call["transport"] for call in each.server.calls())
        assert min(counts["grpc"], counts["http"]) >= CALLS // 5, counts


@pytest.mark.parametrize("scheme", ["", "dns:///"])
def test_a_draining_replica_ends_no_calls_through_envoy(tmp_path: Path, scheme: str) -> None:
    settings = {**SETTINGS, "server": {"drain_delay_s": 3}}
    with Cluster(tmp_path, settings, 2) as cluster:
        asyncio.run(until(lambda: cluster.healthy("grpc") == 2))
        with RerankClient(f"{scheme}{cluster.envoy.address}", max_attempts=1) as client:
            for replica in cluster.replicas:
                client.rerank("bees", ["honey"], model="local/bm25")
                with ThreadPoolExecutor(1) as pool:
                    draining = pool.submit(replica.drain)
                    while not draining.done():
                        client.rerank("bees", ["honey"], model="local/bm25")
                        time.sleep(0.05)
                replica.start()
                asyncio.run(until(lambda: cluster.healthy("grpc") == 2))


def framed(message: bytes, kind: int = 0) -> bytes:
    return struct.pack(">BI", kind, len(message)) + message


def test_grpc_web(cluster: Cluster) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": ORIGIN}
    with httpx.Client(base_url=cluster.envoy.url, trust_env=False) as client:
        response = client.post(METHOD, content=framed(MESSAGE.SerializeToString()), headers=headers)
        preflight = client.options(METHOD, headers={"origin": ORIGIN, "access-control-request-method": "POST"})
        foreign = client.options(METHOD, headers={"origin": "https://x", "access-control-request-method": "POST"})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    kind, length = struct.unpack(">BI", response.content[:5])
    assert kind == 0
    results = pb.RerankResponse.FromString(response.content[5 : 5 + length]).results
    assert [each.index for each in results] == [1, 0]
    assert b"grpc-status:0" in response.content[5 + length :]
    assert "x-grpc-web" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 401),
        ("no token", 401),
        (token(b"another secret of 32 characters!!"), 401),
        (token(exp=1), 401),
        (token(iss="https://x"), 401),
        (token(aud="x"), 403),
        (token(), 200),
    ],
    ids=["none", "malformed", "forged", "expired", "another issuer", "another audience", "valid"],
)
def test_only_valid_tokens_pass(guarded: Cluster, sent: str | None, status: int) -> None:
    headers = {} if sent is None else {"authorization": f"Bearer {sent}"}
    with httpx.Client(base_url=guarded.envoy.url, trust_env=False) as client:
        assert client.post("/v1/rerank", json=BODY, headers=headers).status_code == status
        assert client.get("/envoy/ready").status_code == client.get("/ready").status_code == 200


def test_tokens_guard_grpc_too(guarded: Cluster) -> None:
    with RerankClient(guarded.envoy.address, api_key=token()) as client:
        assert client.rerank("bees", ["honey", "bees"], model="local/bm25").results[0].index == 1
    with RerankClient(guarded.envoy.address, api_key="") as client:
        assert client.health().name == "SERVING"
        with pytest.raises(Unauthenticated):
            client.rerank("bees", ["honey", "bees"], model="local/bm25")
