"""Every golden case over both transports, against a real server that must go on serving."""

from __future__ import annotations

import itertools
import json
import socket
import time
import uuid
from collections.abc import Iterator

import grpc
import httpx
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from tests.support.canary import CANARY_DOCUMENT
from tests.support.cases import Case, Outcome, differences, read_cases
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport, to_message

CASES = read_cases("rerank.yaml")
ALIVE = Case(
    name="alive",
    request={"model": "local/bm25", "query": "q", "documents": ["q", CANARY_DOCUMENT]},
    expect={"code": "OK", "status": 200, "order": [0, 1]},
)


def named(behaviour: str) -> list[object]:
    return [pytest.param(case, id=case.name) for case in CASES if case.behaviour == behaviour]


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    opened = GrpcTransport(server.grpc_address) if request.param == "grpc" else HttpTransport(server.http_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", named("call"))
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    assert list(differences(case, transport.call(case))) == []
    assert list(differences(ALIVE, transport.call(ALIVE))) == []


@pytest.mark.parametrize("case", named("cancel"))
def test_cancelled_over_grpc(case: Case, server: ServerProcess) -> None:
    transport = GrpcTransport(server.grpc_address)
    request_id = uuid.uuid4().hex
    future = transport.start(case, request_id)
    wait_for_call(server)
    future.cancel()
    entry = server.wait_for_log("call", request_id=request_id)
    outcome = Outcome(entry["code"], reason=entry["reason"], message="cancelled")
    assert list(differences(case, outcome)) == []
    assert list(differences(ALIVE, transport.call(ALIVE))) == []
    transport.close()


@pytest.mark.parametrize("case", named("cancel"))
def test_cancelled_over_http(case: Case, server: ServerProcess) -> None:
    request_id = uuid.uuid4().hex
    with pytest.raises(httpx.ReadTimeout), httpx.Client(trust_env=False) as client:
        client.post(
            f"{server.http_url}/v1/rerank",
            json=dict(case.request),
            headers={"x-request-id": request_id},
            timeout=httpx.Timeout(30, read=1.5),
        )
    entry = server.wait_for_log("call", request_id=request_id)
    outcome = Outcome(entry["code"], reason=entry["reason"], message="cancelled")
    assert list(differences(case, outcome)) == []


@pytest.mark.parametrize("case", named("stop-reading"))
def test_client_that_stops_reading_over_grpc(case: Case, server: ServerProcess) -> None:
    transport = GrpcTransport(server.grpc_address)
    item = pb.BatchRerankRequest(item=pb.BatchItem(item_id="x", request=to_message(case.request)))
    method = "/rerank.v1.RerankService/BatchRerank"
    batch = transport.channel.stream_stream(
        method,
        request_serializer=pb.BatchRerankRequest.SerializeToString,
        response_deserializer=pb.BatchRerankResponse.FromString,
    )
    request_id = uuid.uuid4().hex
    stream = batch(itertools.repeat(item, case.items), metadata=(("x-request-id", request_id),))
    assert next(stream).item.status.code == grpc.StatusCode.OK.value[0]
    assert settled_items(server, request_id) <= case.expect["most_items_worked"]
    stream.cancel()
    assert list(differences(ALIVE, transport.call(ALIVE))) == []
    transport.close()


@pytest.mark.parametrize("case", named("stop-reading"))
def test_client_that_stops_reading_over_http(case: Case, server: ServerProcess) -> None:
    line = json.dumps({"item": {"item_id": "x", "request": dict(case.request)}}).encode() + b"\n"
    request_id = uuid.uuid4().hex
    host, port = server.http_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=1) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = (
            "POST /v1/rerank:batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Length: {len(line) * case.items}\r\n\r\n"
        )
        connection.sendall(head.encode())
        sent = 0
        try:
            for _ in range(case.items):
                connection.sendall(line)
                sent += 1
        except TimeoutError:
            pass
        assert sent < case.items, "the server read on although nobody took its answers"
        assert settled_items(server, request_id) <= case.expect["most_items_worked"]


def wait_for_call(server: ServerProcess) -> None:
    """Wait until a call is under way."""
    give_up_s = time.monotonic() + 60
    while "rerankd_calls_in_flight 0.0" in httpx.get(f"{server.http_url}/metrics", trust_env=False, timeout=30).text:
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def settled_items(server: ServerProcess, request_id: str) -> int:
    """Wait until the server works on the batch no more; return how many of its items it worked on."""
    before, worked = -1, 0
    while worked != before:
        before = worked
        time.sleep(0.7)
        worked = sum(1 for entry in server.calls() if entry["request_id"].startswith(request_id))
    return worked
