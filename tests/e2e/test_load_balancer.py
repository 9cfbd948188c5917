"""A server behind a load balancer that stops loses no call with the default settings."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc
from tests.support.server import ServerProcess

CHECK_EVERY_S = 2.0
"""HAProxy's default."""
BODY = {"model": "local/bm25", "query": "a", "documents": ["a", "b"]}
MESSAGE = pb.RerankRequest(model="local/bm25", query="a", documents=[pb.Document(text=text) for text in "ab"])


class Balancer:
    """Sends calls to the servers that its checks found healthy, in turn, over connections that it keeps."""

    def __init__(self, servers: list[ServerProcess], headers: Mapping[str, str]) -> None:
        self._servers = servers
        self._headers = headers
        self._http = [httpx.AsyncClient(base_url=each.http_url, trust_env=False, timeout=30) for each in servers]
        self._channels = [grpc.aio.insecure_channel(each.grpc_address) for each in servers]
        self._is_healthy = {"http": [True] * len(servers), "grpc": [True] * len(servers)}
        self._turn = 0
        self.failures: list[str] = []
        self.calls = 0

    async def check(self) -> None:
        while True:
            for index in range(len(self._servers)):
                is_ready = False
                with contextlib.suppress(httpx.TransportError):
                    is_ready = (await self._http[index].get("/ready")).status_code == 200
                self._is_healthy["http"][index] = is_ready
            await asyncio.sleep(CHECK_EVERY_S)

    async def watch(self, index: int) -> None:
        stub: Any = health_pb2_grpc.HealthStub(self._channels[index])
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for response in stub.Watch(health_pb2.HealthCheckRequest()):
                self._is_healthy["grpc"][index] = response.status == health_pb2.HealthCheckResponse.SERVING

    def _next(self, transport: str) -> int:
        healthy = [index for index, is_healthy in enumerate(self._is_healthy[transport]) if is_healthy]
        self._turn += 1
        return healthy[self._turn % len(healthy)]

    async def call_http(self) -> None:
        while True:
            self.calls += 1
            try:
                response = await self._http[self._next("http")].post("/v1/rerank", json=BODY, headers=self._headers)
            except httpx.TransportError as error:
                self.failures.append(repr(error))
            else:
                if response.status_code != 200:
                    self.failures.append(f"http {response.status_code}")
            await asyncio.sleep(0.02)

    async def call_grpc(self) -> None:
        while True:
            self.calls += 1
            stub: Any = pb_grpc.RerankServiceStub(self._channels[self._next("grpc")])
            try:
                await stub.Rerank(MESSAGE)
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"grpc {error.code().name} {error.details()}")
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        for client in self._http:
            await client.aclose()
        for channel in self._channels:
            await channel.close()


@pytest.mark.parametrize(
    ("environment", "headers", "workers"),
    [({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, {}, "1"), ({}, {"x-forwarded-for": "192.0.2.1"}, "2")],
    ids=["kubernetes", "forwarded"],
)
async def test_no_call_is_lost(environment: dict[str, str], headers: dict[str, str], workers: str) -> None:
    stopping = await asyncio.to_thread(ServerProcess, "--workers", workers, environment=environment)
    staying = await asyncio.to_thread(ServerProcess)
    balancer = Balancer([stopping, staying], headers)
    loops = [balancer.check(), balancer.watch(0), balancer.watch(1)]
    loops += [call() for call in (balancer.call_http, balancer.call_grpc) for _ in range(4)]
    tasks = [asyncio.create_task(loop) for loop in loops]
    await asyncio.sleep(1)
    stopping.process.send_signal(signal.SIGTERM)
    signalled_s = time.monotonic()
    await asyncio.to_thread(stopping.process.wait, 40)
    took_s = time.monotonic() - signalled_s
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await balancer.close()
    assert await asyncio.to_thread(stopping.stop) == 0
    assert await asyncio.to_thread(staying.stop) == 0
    assert [error for error in ended if isinstance(error, Exception)] == []
    assert balancer.failures == []
    assert balancer.calls > 300
    assert took_s >= 10
    assert stopping.wait_for_log("draining")["delay_s"] == 10


async def test_without_signs_the_listeners_close_at_once() -> None:
    server = await asyncio.to_thread(ServerProcess)
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        assert (await client.get("/ready")).status_code == 200
    assert await asyncio.to_thread(server.stop) == 0
    assert server.wait_for_log("draining")["delay_s"] == 0
