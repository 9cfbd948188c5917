"""Starting, draining and replacing real server processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from tests.support.server import ServerProcess
from tests.support.transports import METHOD

REQUEST = {
    "model": "local/ms-marco-minilm-l12-v2",
    "query": "how do plants make food",
    "documents": ["Photosynthesis turns light into sugar", "The train leaves at noon", "Leaves are green"],
    "cache": "bypass",
}
MESSAGE = pb.RerankRequest(
    model="local/ms-marco-minilm-l12-v2",
    query="how do plants make food",
    documents=[pb.Document(text=text) for text in REQUEST["documents"]],
    cache=pb.CACHE_CONTROL_BYPASS,
).SerializeToString()
BM25_REQUEST = {"model": "local/bm25", "query": "a", "documents": ["a", "b"]}
BM25_MESSAGE = pb.RerankRequest(
    model="local/bm25", query="a", documents=[pb.Document(text=text) for text in "ab"]
).SerializeToString()

CALLS_BEFORE_SIGTERM = 100
ARRIVAL_S = 0.1
"""A call is under way this long after it was sent: gRPC cancels what arrives in the moment in which a server stops,
which `server.drain_delay_s` postpones until load balancers have been told."""
STARTS = 3
"""Of which the cheapest counts: the processes of other tests share the caches of the same cores."""


async def test_sigterm_under_load_loses_no_call_under_way() -> None:
    server = ServerProcess()
    started: list[tuple[float, str | None]] = []
    stop = asyncio.Event()

    async def caller(call: Callable[[], Awaitable[str | None]]) -> None:
        while not stop.is_set():
            began_s = time.monotonic()
            started.append((began_s, await call()))

    async with (
        grpc.aio.insecure_channel(server.grpc_address) as channel,
        httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
    ):
        rerank: Any = channel.unary_unary(METHOD)

        async def by_grpc() -> str | None:
            try:
                response = pb.RerankResponse.FromString(await rerank(MESSAGE))
            except grpc.aio.AioRpcError as error:
                return f"grpc {error.code().name}: {error.details()}"
            return None if len(response.results) == 3 else "grpc: incomplete"

        async def by_http() -> str | None:
            try:
                response = await client.post("/v1/rerank", json=REQUEST)
            except httpx.TransportError as error:
                return f"http {error!r}"
            return None if response.status_code == 200 else f"http {response.status_code}: {response.text}"

        callers = [asyncio.create_task(caller(by_grpc)) for _ in range(8)]
        callers += [asyncio.create_task(caller(by_http)) for _ in range(8)]
        async with asyncio.timeout(60):
            while len(started) < CALLS_BEFORE_SIGTERM:
                await asyncio.sleep(0.01)
        signalled_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait, 60)
        stop.set()
        await asyncio.gather(*callers)
    assert server.stop() == 0
    under_way = [failure for began_s, failure in started if began_s < signalled_s - ARRIVAL_S]
    assert len(under_way) > 30
    assert [failure for failure in under_way if failure] == []


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flag, other in (("--grpc-port", "--http-port"), ("--http-port", "--grpc-port")):
            command = [sys.executable, "-m", "rerankd.cli", "serve", flag, str(port), other, "0"]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 1
            assert f"localhost:{port}" in ended.stderr
            assert flag in ended.stderr
            assert "Traceback" not in ended.stderr


def test_workers_share_the_ports_and_are_replaced_when_they_die() -> None:
    server = ServerProcess("--workers", "2")
    workers = {server.wait_for_log("ready", worker=index)["worker_pid"] for index in (0, 1)}
    assert len(workers) == 2
    os.kill(workers.pop(), signal.SIGKILL)
    server.wait_for_log("worker died")
    give_up_s = time.monotonic() + 60
    while sum(entry["event"] == "ready" for entry in server.log) < 3:
        assert time.monotonic() < give_up_s
        time.sleep(0.1)
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        for _ in range(10):
            assert client.post("/v1/rerank", json=BM25_REQUEST).status_code == 200
    assert server.stop() == 0


@pytest.mark.parametrize(("before", "after"), [("1", "2"), ("2", "1"), ("2", "2")])
async def test_a_server_starts_at_once_on_the_ports_of_one_that_ended(before: str, after: str) -> None:
    server = ServerProcess("--workers", before)
    ports = [str(port_of(address)) for address in (server.grpc_address, server.http_url)]
    async with grpc.aio.insecure_channel(server.grpc_address) as channel, httpx.AsyncClient(trust_env=False) as client:
        call: Any = channel.unary_unary(METHOD)
        assert pb.RerankResponse.FromString(await call(BM25_MESSAGE)).results
        response = await client.post(f"{server.http_url}/v1/rerank", json=BM25_REQUEST)
        assert response.status_code == 200
        # The server closes the HTTP connection, so that its side of it is in TIME_WAIT.
        assert await asyncio.to_thread(server.stop) == 0
    assert has_time_wait(int(ports[1]))
    follower = ServerProcess("--workers", after, "--grpc-port", ports[0], "--http-port", ports[1])
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(f"{follower.http_url}/v1/rerank", json=BM25_REQUEST)
        assert response.status_code == 200
    assert await asyncio.to_thread(follower.stop) == 0


def test_a_second_server_of_several_workers_is_refused_the_ports() -> None:
    server = ServerProcess("--workers", "2")
    for flag, address in (("--grpc-port", server.grpc_address), ("--http-port", server.http_url)):
        command = [sys.executable, "-m", "rerankd.cli", "serve", "--workers", "2", flag, str(port_of(address))]
        other = "--http-port" if flag == "--grpc-port" else "--grpc-port"
        ended = subprocess.run([*command, other, "0"], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert "cannot listen" in ended.stderr
    assert server.stop() == 0


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def has_time_wait(port: int) -> bool:
    """Say whether this host has a connection in TIME_WAIT whose local port is `port`."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == "06" for row in rows)


@pytest.mark.parametrize(("models", "longest_s"), [("embedded", 5.0), ("none", 3.0)])
def test_a_cold_start_takes_little_cpu(models: str, longest_s: float, tmp_path: Path) -> None:
    environment = {"RERANKD_LOCAL__CACHE_DIR": str(tmp_path)}
    if models == "none":
        environment |= {"RERANKD_LOCAL__ENABLED": "false"}
    took_s: list[float] = []
    while len(took_s) < STARTS and not (took_s and min(took_s) < longest_s):
        server = ServerProcess(environment=environment, preloads=True)
        took_s.append(server.start_cpu_s)
        assert server.stop() == 0
    print(f"ready after {took_s} s of CPU with models: {models}")
    assert min(took_s) < longest_s
