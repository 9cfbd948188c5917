"""Limits and budgets of real servers: exact across workers and replicas, whatever callers and workers do."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerankd.access.limits.ledger import Charge
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.windows import Span, Window
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import AsyncRerankClient, ResourceExhausted
from tests.support.minutes import minute_with_room
from tests.support.redis import RedisServer
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

BODY = {"model": "local/bm25", "query": "q", "documents": ["d", "e"]}
CENTS = 0.2
"""Of one search unit of Cohere."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


def settings_file(path: Path, limits: list[dict[str, Any]], ledger: dict[str, Any], **more: Any) -> str:
    file = path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"access": {"limits": limits, "ledger": ledger}, **more}))
    return str(file)


async def post(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    return await client.post("/v1/rerank", json=body)


async def flood(servers: list[ServerProcess], calls: int, body: dict[str, Any]) -> Counter[int]:
    """Send calls to several servers at once; connections are new ones, so that all workers get some."""

    async def one(number: int) -> int:
        async with httpx.AsyncClient(base_url=servers[number % len(servers)].http_url, timeout=30) as client:
            return (await post(client, body)).status_code

    await minute_with_room()
    return Counter(await asyncio.gather(*(one(number) for number in range(calls))))


async def test_workers_of_a_machine_admit_the_limit_together(tmp_path: Path) -> None:
    limits = [{"name": "all", "calls_per_minute": 50}]
    file = settings_file(tmp_path, limits, {"path": str(tmp_path / "limits.counts")})
    server = ServerProcess("--config", file, "--workers", "2")
    try:
        assert await flood([server], 120, BODY) == {200: 50, 429: 70}
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            refused = await post(client, BODY)
        assert refused.json()["reason"] == "RATE_LIMITED"
        assert refused.headers["ratelimit-limit"] == "50"
        assert refused.headers["ratelimit-remaining"] == "0"
        assert 0 < int(refused.headers["retry-after"]) <= 120
        async with AsyncRerankClient(server.grpc_address) as stubs:
            with pytest.raises(ResourceExhausted) as caught:
                await stubs.rerank("q", ["d"], model="local/bm25")
        assert caught.value.reason == "RATE_LIMITED"
        assert caught.value.metadata["limit"] == "all"
        assert caught.value.retry_after_s is not None
    finally:
        server.stop()


async def test_replicas_that_share_redis_admit_the_limit_together(tmp_path: Path, redis: RedisServer) -> None:
    file = settings_file(
        tmp_path,
        [{"name": "all", "calls_per_minute": 50, "documents_per_minute": 1000}],
        {"redis_url": redis.url, "fail_mode": "closed"},
    )
    servers = [ServerProcess("--config", file) for _ in range(2)]
    try:
        assert await flood(servers, 160, BODY) == {200: 50, 429: 110}
        redis.pause()
        started_s = time.monotonic()
        async with httpx.AsyncClient(base_url=servers[0].http_url, timeout=30) as client:
            away = await post(client, BODY)
            assert (away.status_code, away.json()["reason"]) == (503, "LIMITS_UNAVAILABLE")
            assert time.monotonic() - started_s < 20
            redis.resume()
            async with asyncio.timeout(30):
                while (await post(client, BODY)).status_code != 429:
                    await asyncio.sleep(0.1)
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_without_redis_calls_are_refused_or_pass_as_the_fail_mode_says(
    tmp_path: Path, redis: RedisServer, how: str
) -> None:
    """Neither waits for it longer than `timeout_ms`, ten calls one after the other."""
    servers = {}
    for mode in ("closed", "open"):
        (tmp_path / mode).mkdir()
        ledger = {"redis_url": redis.url, "timeout_ms": 200, "fail_mode": mode}
        limit = {"name": "all", "calls_per_minute": 1000}
        servers[mode] = ServerProcess("--config", settings_file(tmp_path / mode, [limit], ledger))
    try:
        getattr(redis, how)()
        for mode, status in (("closed", 503), ("open", 200)):
            async with httpx.AsyncClient(base_url=servers[mode].http_url, timeout=60) as client, asyncio.timeout(50):
                # Two seconds, and what a busy machine adds.
                assert {(await post(client, BODY)).status_code for _ in range(10)} == {status}
    finally:
        redis.start() if how == "kill" else redis.resume()
        for server in servers.values():
            server.stop()


async def test_a_hard_budget_holds_while_callers_leave_and_a_worker_dies(tmp_path: Path) -> None:
    def slowly(request: Received) -> ScriptedResponse:
        time.sleep(0.01)
        return answer_well(request)

    budget = {"name": "all", "budgets": [{"usd": 20 * CENTS / 100, "per": "day"}]}
    ledger = tmp_path / "limits.counts"
    with Upstream(slowly) as upstream:
        file = settings_file(
            tmp_path,
            [budget],
            {"path": str(ledger)},
            providers={"cohere": {"base_url": upstream.url, "api_key": "k"}},
        )
        server = ServerProcess("--config", file, "--workers", "2")
        try:
            worker = server.wait_for_log("ready", worker=0)["worker_pid"]
            await asyncio.gather(*(caller(server, number) for number in range(50)), kill_soon(worker))
            assert 0 < len(upstream.received) <= 20
            await reserved_ends(ledger)
        finally:
            server.stop()


async def caller(server: ServerProcess, number: int) -> None:
    """Make one call; odd ones leave before the answer. Each has documents of its own, so that none is cached."""
    body = {"model": "cohere/rerank-v3.5", "query": f"q{number}", "documents": [f"d{number}"]}
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        try:
            await client.post("/v1/rerank", json=body, timeout=0.05 if number % 2 else 30)
        except httpx.HTTPError:
            return


async def kill_soon(worker: int) -> None:
    await asyncio.sleep(0.1)
    os.kill(worker, signal.SIGKILL)


async def reserved_ends(path: Path) -> None:
    """Wait until the ledger has nothing reserved but what was used."""
    name = "all:usd_per_calendar_day:"
    reader = LocalLedger(path, 5)
    window = Window(Span.DAY, is_calendar=True)
    async with asyncio.timeout(60):
        while True:
            with_all = (await reader.read([Charge(name, 1, 0, window)]))[0].used
            # Read without a window, a meter shows its reservations alone.
            if not (await reader.read([Charge(name, 1, 0, None)]))[0].used:
                assert with_all <= 20 * CENTS / 100 + 1e-9
                break
            await asyncio.sleep(0.2)
    await reader.close()
