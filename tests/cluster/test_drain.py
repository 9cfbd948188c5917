"""SIGTERM with calls and batch streams under way loses none of them."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import AsyncRerankClient, BatchItem
from tests.cluster.load import MODEL, QUERY, documents
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well
from tests.support.waiting import until

CALLS = 100
STREAMS = 10
ITEMS = 5
LATENCY_S = 8.0
"""Of the provider: long enough that a busy machine has everything under way before the first answer."""
DRAIN_DELAY_S, DRAIN_GRACE_S = 2.0, 30.0


def answer_late(request: Received) -> ScriptedResponse:
    return replace(answer_well(request), delay_s=LATENCY_S)


def serve(folder: Path, url: str, workers: int) -> ServerProcess:
    settings = {
        "server": {"workers": workers, "drain_delay_s": DRAIN_DELAY_S, "drain_grace_s": DRAIN_GRACE_S},
        "local": {"enabled": False},
        "cache": {"enabled": False},
        "providers": {"cohere": {"base_url": url, "api_key": "x"}},
        "models": {"*": {"adaptive_timeout": {"initial_s": 60}}},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ServerProcess("--config", str(file), environment={"NO_PROXY": "127.0.0.1"}, preloads=True)


async def grpc_call(client: AsyncRerankClient) -> bool:
    return len((await client.rerank(QUERY, documents(), model=MODEL)).results) == 3


async def http_call(client: httpx.AsyncClient) -> bool:
    response = await client.post("/v1/rerank", json={"model": MODEL, "query": QUERY, "documents": documents()})
    return response.status_code == 200 and len(response.json()["results"]) == 3


async def stream(client: AsyncRerankClient) -> bool:
    items = [BatchItem(item_id=str(number), query=QUERY, documents=documents(), model=MODEL) for number in range(ITEMS)]
    results = [result async for result in client.batch_rerank(items, max_resumes=0)]
    return sorted(result.item_id for result in results if result.response) == [str(number) for number in range(ITEMS)]


async def not_serving_at(address: str) -> float:
    """Return when the health first says NOT_SERVING."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        async for response in stub.Watch(health_pb2.HealthCheckRequest()):
            if response.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break
        return time.monotonic()


async def refused_at(url: str) -> float:
    """Return when a new connection is first refused."""
    host, _, port = url.removeprefix("http://").partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return time.monotonic()
        writer.close()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_under_way_is_lost(workers: int, tmp_path: Path) -> None:
    with Upstream(answer_late) as provider:
        server = await asyncio.to_thread(serve, tmp_path, provider.url, workers)
        limits = httpx.Limits(max_connections=CALLS)
        async with (
            AsyncRerankClient(server.grpc_address, max_attempts=1) as client,
            httpx.AsyncClient(base_url=server.http_url, trust_env=False, timeout=60, limits=limits) as http,
        ):
            unhealthy = asyncio.create_task(not_serving_at(server.grpc_address))
            calls = [asyncio.create_task(grpc_call(client)) for _ in range(CALLS // 2)]
            calls += [asyncio.create_task(http_call(http)) for _ in range(CALLS // 2)]
            calls += [asyncio.create_task(stream(client)) for _ in range(STREAMS)]
            await until(lambda: len(provider.received) >= CALLS + STREAMS * ITEMS)
            assert not any(call.done() for call in calls)
            server.process.send_signal(signal.SIGTERM)
            signalled_s = time.monotonic()
            refused = asyncio.create_task(refused_at(server.http_url))
            answered = await asyncio.gather(*calls)
            await asyncio.to_thread(server.process.wait, DRAIN_DELAY_S + DRAIN_GRACE_S)
            took_s = time.monotonic() - signalled_s
            not_serving_s, refused_s = await unhealthy - signalled_s, await refused - signalled_s
    assert server.stop() == 0
    print(
        f"\n{workers} workers, {CALLS} calls and {STREAMS} streams of {ITEMS} items under way at SIGTERM: "
        f"{answered.count(False)} lost; NOT_SERVING after {1e3 * not_serving_s:.0f} ms, "
        f"connections refused after {refused_s:.1f} s, exit after {took_s:.1f} s"
    )
    assert answered == [True] * (CALLS + STREAMS)
    assert not_serving_s < refused_s
    assert refused_s >= DRAIN_DELAY_S
    assert took_s < DRAIN_DELAY_S + DRAIN_GRACE_S
