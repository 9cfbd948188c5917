"""A real Redis: shared, killed, hung, full or foreign, it never fails a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from redis import Redis
from structlog.testing import capture_logs

from rerankd.cache.keys import KEY_VERSION, Naming
from rerankd.cache.opening import open_pair_scores
from rerankd.cache.pair_scores import CacheUse, Filled, PairScores
from rerankd.cache.settings import CacheSettings
from tests.support.redis import RedisServer
from tests.support.waiting import until
from tests.unit.cache.upstream import SCOPE, score_of

GENEROUS_S = 20.0
"""Longest time anything here may take on a busy machine."""
PATIENT_MS = 2_000.0
"""A read limit that a busy machine keeps."""


@asynccontextmanager
async def opened(url: str, timeout_ms: float = PATIENT_MS, **options: object) -> AsyncIterator[PairScores]:
    scores = open_pair_scores(CacheSettings(redis_url=url, redis_timeout_ms=timeout_ms, **options))  # type: ignore[arg-type]  # given by name
    await scores.start()
    try:
        yield scores
    finally:
        await scores.close()


async def fill(scores: PairScores, documents: Sequence[str], use: CacheUse = CacheUse.READ_WRITE) -> Filled:
    async def fetch(positions: Sequence[int]) -> list[float]:
        return [score_of(documents[position]) for position in positions]

    return await scores.fill(SCOPE, documents, use, fetch)


async def test_replicas_share_scores(redis: RedisServer) -> None:
    documents = [f"document {number}" for number in range(2000)]
    async with opened(redis.url) as one:
        assert (await fill(one, documents)).fetched == 2000
    async with opened(redis.url) as other:
        filled = await fill(other, [*documents, "a new one"])
        assert (filled.hits, filled.fetched) == (2000, 1)
        assert filled.scores == [score_of(document) for document in [*documents, "a new one"]]
        assert other.counters().hits_redis == 2000
        assert (await fill(other, documents)).hits == 2000
        assert other.counters().hits_redis == 2000, "they are in memory by then"


async def test_keys_are_versioned_prefixed_and_expire(redis: RedisServer) -> None:
    async with opened(redis.url, key_prefix="team", redis_ttl_s=90) as scores:
        await fill(scores, ["a"])
    with Redis(port=redis.port) as client:
        (key,) = client.keys()
        assert key == f"team:{KEY_VERSION}:".encode() + Naming(SCOPE).keys(["a"])[0]
        assert 80 < client.ttl(key) <= 90
        assert client.strlen(key) == 8


async def test_no_store_leaves_nothing_in_redis(redis: RedisServer) -> None:
    async with opened(redis.url) as scores:
        await fill(scores, ["a"], CacheUse.READ_ONLY)
        await fill(scores, ["a"], CacheUse.BYPASS)
    with Redis(port=redis.port) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("value", [b"", b"1234567", b"123456789", b"\0\0\0\0\0\0\xf8\x7f", b"\0\0\0\0\0\0\xf0\x7f"])
async def test_values_nobody_of_us_wrote_are_misses(redis: RedisServer, value: bytes) -> None:
    key = b"rerankd:%d:" % KEY_VERSION + Naming(SCOPE).keys(["a"])[0]
    with Redis(port=redis.port) as client:
        client.set(key, value)
        async with opened(redis.url) as scores:
            filled = await fill(scores, ["a"])
            assert (filled.scores, filled.fetched) == ([score_of("a")], 1)
        assert client.strlen(key) == 8, "it was replaced"


async def test_a_redis_that_is_not_there_costs_no_call_anything_and_is_found_later(redis: RedisServer) -> None:
    redis.kill()
    with capture_logs() as log:
        async with opened(redis.url) as scores:
            assert (await fill(scores, ["a"])).fetched == 1
            assert scores.counters().dropped == 1
            redis.start()
            await until(lambda: scores.counters().is_redis_up is True)
            assert (await fill(scores, ["b"])).fetched == 1
    events = [entry["event"] for entry in log]
    assert events == ["redis_not_used", "redis_in_use"]
    with Redis(port=redis.port) as client:
        assert client.dbsize() == 1


async def test_no_password_and_no_key_is_logged() -> None:
    server = RedisServer("--requirepass", "right")
    try:
        with capture_logs() as log:
            async with opened(f"redis://someone:s3cret@127.0.0.1:{server.port}/0") as scores:
                assert (await fill(scores, ["a"])).fetched == 1
        (entry,) = log
        assert "password" in entry["problem"]
        assert "s3cret" not in str(log)
        async with opened(f"redis://:right@127.0.0.1:{server.port}/0") as scores:
            assert scores.counters().is_redis_up
    finally:
        server.kill()


async def test_a_full_redis_is_still_read(redis: RedisServer) -> None:
    with Redis(port=redis.port) as client, capture_logs() as log:
        async with opened(redis.url) as scores:
            await fill(scores, ["a"])
        client.config_set("maxmemory", "1")
        async with opened(redis.url) as scores:
            assert (await fill(scores, ["a", "b"])).fetched == 1
            await until(lambda: scores.counters().dropped == 1)
            assert (await fill(scores, ["a", "c"])).fetched == 1
            await until(lambda: scores.counters().dropped == 2)
            assert scores.counters().is_redis_up
            assert scores.counters().hits_redis == 1
    assert [entry["event"] for entry in log].count("redis_refuses_writes") == 1


async def test_a_hung_redis_is_left_alone_after_a_few_reads(redis: RedisServer) -> None:
    async with opened(redis.url, timeout_ms=20) as scores:
        await until(lambda: scores.counters().is_redis_up is True)
        redis.pause()
        try:
            calls = 0
            async with asyncio.timeout(GENEROUS_S):
                while scores.counters().is_redis_up:
                    assert (await fill(scores, [f"document {calls}"])).fetched == 1
                    calls += 1
            assert calls <= 4
            errors = scores.counters().errors
            for number in range(100):
                assert (await fill(scores, [f"another {number}"])).fetched == 1
            assert scores.counters().errors == errors, "no call touches it"
        finally:
            redis.resume()
        await until(lambda: scores.counters().is_redis_up is True)


async def test_a_cancelled_read_leaves_the_connection_in_order(redis: RedisServer) -> None:
    async with opened(redis.url) as scores:
        await fill(scores, ["a", "b"])
    async with opened(redis.url) as scores:
        for delay_turns in range(12):
            call = asyncio.create_task(fill(scores, ["a", "b"]))
            for _ in range(delay_turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        filled = await fill(scores, ["b", "a"])
        assert filled.scores == [score_of("b"), score_of("a")]


async def test_closing_a_hung_redis_does_not_hang(redis: RedisServer) -> None:
    async with asyncio.timeout(GENEROUS_S):
        async with opened(redis.url) as scores:
            await fill(scores, ["a"])
            redis.pause()
    redis.resume()


@pytest.mark.slow
@pytest.mark.parametrize("blow", ["kill", "pause"])
async def test_a_redis_that_dies_under_load_and_comes_back_fails_no_call(
    redis: RedisServer, blow: str, record_property: Callable[[str, object], None]
) -> None:
    times_ms: list[float] = []
    is_over = asyncio.Event()

    async def load(scores: PairScores, worker: int) -> None:
        turn = 0
        while not is_over.is_set():
            documents = [f"document {(turn * 7 + worker * 3 + number) % 400}" for number in range(20)]
            began_s = time.perf_counter()
            filled = await fill(scores, documents)
            times_ms.append((time.perf_counter() - began_s) * 1000)
            assert filled.scores == [score_of(document) for document in documents]
            turn += 1
            await asyncio.sleep(0.005)

    async with opened(redis.url, timeout_ms=5, ttl_s=0.2, redis_ttl_s=600) as scores, asyncio.TaskGroup() as group:
        for worker in range(8):
            group.create_task(load(scores, worker))
        await until(lambda: scores.counters().hits_redis > 500)
        redis.kill() if blow == "kill" else redis.pause()
        await until(lambda: scores.counters().is_redis_up is False)
        calls_before = len(times_ms)
        await until(lambda: len(times_ms) > calls_before + 200)
        redis.start() if blow == "kill" else redis.resume()
        hits_before = scores.counters().hits_redis
        await until(lambda: scores.counters().hits_redis > hits_before + 500)
        is_over.set()
    times_ms.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        figure = times_ms[min(len(times_ms) - 1, int(share * len(times_ms)))]
        record_property(f"{name}_ms", round(figure, 2))
        print(f"{blow}: {name} {figure:.2f} ms of {len(times_ms)} calls")
    assert times_ms[-1] < GENEROUS_S * 1000 / 4
