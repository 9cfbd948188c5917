"""The pair-score cache as callers of real servers see it, with Redis and without."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from rerank.v1 import rerank_service_pb2 as pb
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.redis import RedisServer
from tests.support.server import ServerProcess
from tests.support.transports import METHOD
from tests.support.upstream import Upstream, answer_well

DOCUMENTS = ("the capital of France", f"a desert {CANARY_DOCUMENT}", "France")
CONCURRENCY = 8


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_well) as served:
        yield served


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


def write(file: Path, url: str, redis_url: str = "") -> Path:
    facts = {"models": {"*": {"scoring": "pointwise"}, "listwise": {"scoring": "listwise"}}}
    settings = {
        "default_model": "cohere/rerank-v3.5",
        "providers": {"cohere": {"base_url": url, "api_key": CANARY_SECRET, **facts}},
        "cache": {"redis_url": redis_url, "redis_timeout_ms": 200},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


def serve(file: Path) -> ServerProcess:
    return ServerProcess("--config", str(file), environment={"NO_PROXY": "127.0.0.1"})


def message(*documents: str, **fields: Any) -> bytes:
    texts = [pb.Document(text=text) for text in documents or DOCUMENTS]
    return pb.RerankRequest(query="capital of France", documents=texts, **fields).SerializeToString()


def rerank(server: ServerProcess, *documents: str, **fields: Any) -> pb.RerankResponse:
    with grpc.insecure_channel(server.grpc_address) as channel:
        call: Any = channel.unary_unary(METHOD)
        data = call(message(*documents, **fields), timeout=60)
        return pb.RerankResponse.FromString(data)


def cached(server: ServerProcess, *documents: str, **fields: Any) -> int:
    return int(rerank(server, *documents, **fields).usage.cached_documents)


def test_what_callers_see_of_the_cache(upstream: Upstream, tmp_path: Path) -> None:
    server = serve(write(tmp_path / "rerankd.yaml", upstream.url))
    try:
        assert cached(server, cache=pb.CACHE_CONTROL_NO_STORE) == 0
        assert cached(server, cache=pb.CACHE_CONTROL_BYPASS) == 0
        first = rerank(server)
        again = rerank(server)
        assert (first.usage.cached_documents, again.usage.cached_documents) == (0, 3)
        assert list(first.results) == list(again.results)
        assert cached(server, *DOCUMENTS, "something new") == 3
        assert cached(server, cache=pb.CACHE_CONTROL_NO_STORE) == 3
        assert cached(server, cache=pb.CACHE_CONTROL_BYPASS) == 0
        assert [cached(server, model="cohere/listwise") for _ in range(2)] == [0, 0]
        assert len(upstream.received) == 2 + 1 + 1 + 1 + 2
        assert upstream.received[3].json()["documents"] == ["something new"]
    finally:
        assert server.stop() == 0


def test_another_address_of_a_provider_never_answers_with_scores_of_the_old_one(
    upstream: Upstream, redis: RedisServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "rerankd.yaml", upstream.url, redis.url)
    server = serve(file)
    try:
        assert [cached(server) for _ in range(2)] == [0, 3]
        with Upstream(answer_well) as other:
            write(file, other.url, redis.url)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("settings reloaded")
            assert [cached(server) for _ in range(2)] == [0, 3]
            assert len(other.received) == 1
    finally:
        assert server.stop() == 0


@pytest.mark.slow
async def test_redis_killed_and_started_again_under_load_fails_no_call(
    upstream: Upstream, redis: RedisServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "rerankd.yaml", upstream.url, redis.url)
    servers = [serve(file), serve(file)]
    stop = asyncio.Event()
    numbers = itertools.count()
    answered = failed = 0

    async def caller(server: ServerProcess) -> None:
        nonlocal answered, failed
        async with grpc.aio.insecure_channel(server.grpc_address) as channel:
            call: Any = channel.unary_unary(METHOD)
            while not stop.is_set():
                number = next(numbers)
                try:
                    data = await call(message("the capital", f"France {number // 8}", f"{number}"), timeout=60)
                except grpc.aio.AioRpcError:
                    failed += 1
                else:
                    answered += 1
                    assert len(pb.RerankResponse.FromString(data).results) == 3

    async def more(count: int) -> None:
        wanted = answered + count
        while answered < wanted and not failed:
            await asyncio.sleep(0.01)

    try:
        assert cached(servers[0], "scored by the first", "this too") == 0
        async with asyncio.timeout(60):
            # Scores reach Redis in the background.
            while (
                await asyncio.to_thread(cached, servers[1], "scored by the first", cache=pb.CACHE_CONTROL_NO_STORE) == 0
            ):
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(cached, servers[1], "scored by the first", "this too") == 2
        async with asyncio.timeout(240):
            callers = [asyncio.create_task(caller(server)) for server in servers for _ in range(CONCURRENCY // 2)]
            await more(200)
            for _ in range(2):
                await asyncio.to_thread(redis.kill)
                await more(300)
                await asyncio.to_thread(redis.start)
                await more(300)
            redis.pause()
            await more(100)
            redis.resume()
            await more(100)
            stop.set()
            await asyncio.gather(*callers)
        assert failed == 0
        assert answered > 1400
    finally:
        assert [server.stop() for server in servers] == [0, 0]
    for server in servers:
        assert not [entry for entry in server.log if entry.get("level") == "error"]
