"""A request that is refused before it is a call leaves one log line and is counted, over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from tests.support.server import ServerProcess

RERANK = "/v2/rerank"
GOOD = '{"query": "q", "documents": ["a"], "model": "local/bm25"}'
HTTP_REFUSALS: dict[str, tuple[str, str, str, dict[str, str], int, str]] = {
    "bad-json": ("POST", RERANK, "{", {}, 400, "INVALID_REQUEST"),
    "not-an-object": ("POST", RERANK, "[]", {}, 400, "INVALID_REQUEST"),
    "wrong-type": ("POST", RERANK, '{"query": 1, "documents": ["a"]}', {}, 400, "INVALID_REQUEST"),
    "of-a-dialect": ("POST", "/voyage/v1/rerank", '{"query": "q", "documents": 3}', {}, 400, "INVALID_REQUEST"),
    "media-type": ("POST", RERANK, GOOD, {"content-type": "text/plain"}, 415, "INVALID_REQUEST"),
    "not-gzip": ("POST", RERANK, GOOD, {"content-encoding": "gzip"}, 400, "INVALID_REQUEST"),
    "timeout": ("POST", RERANK, GOOD, {"x-request-timeout-ms": "soon"}, 400, "INVALID_REQUEST"),
    "no-time": ("POST", RERANK, GOOD, {"x-request-timeout-ms": "0"}, 504, "DEADLINE_EXCEEDED"),
    "unknown-route": ("POST", "/v1/rank", GOOD, {}, 404, "ROUTE_NOT_FOUND"),
    "unknown-method": ("PUT", RERANK, GOOD, {}, 405, "ROUTE_NOT_FOUND"),
    "long-route": ("GET", "/" + "x" * 5000, "", {}, 404, "ROUTE_NOT_FOUND"),
    "bad-line": (
        "POST",
        "/v1/rerank:batch",
        "no json\n",
        {"content-type": "application/x-ndjson"},
        400,
        "INVALID_REQUEST",
    ),
    "unknown-model": ("GET", "/v1/models/nobody/x", "", {}, 404, "MODEL_NOT_FOUND"),
    "invalid-call": ("POST", RERANK, '{"query": "", "documents": []}', {}, 400, "INVALID_REQUEST"),
}
GRPC_REFUSALS = {
    "undecodable": ("/rerank.v1.RerankService/Rerank", "INVALID_ARGUMENT", "INVALID_REQUEST"),
    "undecodable-tei": ("/tei.v1.Rerank/Rerank", "INVALID_ARGUMENT", "INVALID_REQUEST"),
    "no-method": ("/rerank.v1.RerankService/Rank", "UNIMPLEMENTED", "ROUTE_NOT_FOUND"),
    "no-service": ("/cohere.v1.Rerank/Rerank", "UNIMPLEMENTED", "ROUTE_NOT_FOUND"),
    "no-model": ("/rerank.v1.RerankService/GetModel", "INVALID_ARGUMENT", "INVALID_REQUEST"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    process = ServerProcess()
    yield process
    assert process.stop() == 0


def ask(channel: grpc.Channel, path: str, message: bytes, request_id: str) -> None:
    method: Any = channel.unary_unary(path)
    method(message, metadata=[("x-request-id", request_id)], timeout=10)


def line_of(server: ServerProcess, request_id: str) -> dict[str, Any]:
    """Return the one line of a request, after a call that ended later has its own."""
    server.wait_for_log("call", request_id=request_id)
    [line] = [line for line in server.calls() if line["request_id"] == request_id]
    return line


@pytest.mark.parametrize("name", HTTP_REFUSALS)
def test_over_http(server: ServerProcess, name: str) -> None:
    method, path, body, headers, status, reason = HTTP_REFUSALS[name]
    sent = {"content-type": "application/json", "x-request-id": name, **headers}
    answer = httpx.request(method, server.http_url + path, content=body, headers=sent, trust_env=False)
    assert answer.status_code == status, answer.text
    line = line_of(server, name)
    assert (line["reason"], line["transport"]) == (reason, "http")
    assert line.get("path", path) == path[:200]
    assert ("path" in line) == (name != "invalid-call")
    assert line["latency_ms"] >= 0


@pytest.mark.parametrize("name", GRPC_REFUSALS)
def test_over_grpc(server: ServerProcess, name: str) -> None:
    path, code, reason = GRPC_REFUSALS[name]
    message = b"" if name == "no-model" else b"\xff\xff"
    with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as raised:
        ask(channel, path, message, name)
    assert raised.value.code().name == code
    line = line_of(server, name)
    assert (line["reason"], line["code"], line["transport"]) == (reason, code, "grpc")
    assert line["path"].strip("/") == path.strip("/")


def test_they_are_counted_as_failed_calls(server: ServerProcess) -> None:
    def count(code: str, transport: str) -> float:
        text = httpx.get(f"{server.http_url}/metrics", trust_env=False).text
        labels = f'{{code="{code}",model="",provider="",transport="{transport}"}} '
        return sum(float(line.split()[-1]) for line in text.splitlines() if f"rerankd_calls_total{labels}" in line)

    before = count("NOT_FOUND", "http"), count("UNIMPLEMENTED", "grpc")
    httpx.get(f"{server.http_url}/nowhere", headers={"x-request-id": "counted"}, trust_env=False)
    with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError):
        ask(channel, "/no/Method", b"", "counted-too")
    assert (line_of(server, "counted")["code"], line_of(server, "counted-too")["code"]) == (
        "NOT_FOUND",
        "UNIMPLEMENTED",
    )
    assert (count("NOT_FOUND", "http"), count("UNIMPLEMENTED", "grpc")) == (before[0] + 1, before[1] + 1)


def test_a_call_that_is_answered_has_one_line_without_a_path(server: ServerProcess) -> None:
    sent = {"content-type": "application/json", "x-request-id": "good"}
    assert httpx.post(server.http_url + RERANK, content=GOOD, headers=sent, trust_env=False).status_code == 200
    assert "path" not in line_of(server, "good")
