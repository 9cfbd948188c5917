"""Replicas that die, drain and change under load, and Redis and PostgreSQL that stop, cost no caller a call."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
import yaml

from tests.cluster.load import MODEL, Load, burst, under_load
from tests.cluster.replicas import Cluster
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.upstream import Upstream
from tests.support.waiting import until

STEADY_S: Final = 0.7
"""Before and after each event."""
POSTGRES_AWAY_S: Final = 10.0
LIMIT: Final = 40
"""Calls a minute of the key that is limited."""


def settings(provider: Upstream, redis: RedisServer, postgres: PostgresServer) -> dict[str, Any]:
    """Return what docs/operations.md recommends; delay and grace of the drain are shorter than their defaults."""
    return {
        "server": {"drain_delay_s": 3, "drain_grace_s": 4},
        "local": {"enabled": False},
        "cache": {"redis_url": redis.url},
        "store": {"url": postgres.url},
        "runs": {"calls": "all", "durability": "sync"},
        "access": {
            "enabled": True,
            "ledger": {"redis_url": redis.url},
            "limits": [{"name": "few", "per": "group", "match": "limited", "calls_per_minute": LIMIT}],
        },
        "providers": {"cohere": {"base_url": provider.url, "api_key": "x", "models": {"*": {"scoring": "pointwise"}}}},
    }


async def off_the_loop(action: Callable[[], object]) -> None:
    """Do what takes long while the load goes on, then let it become steady."""
    await asyncio.to_thread(action)
    await asyncio.sleep(STEADY_S)


def rerankd(file: Path, *arguments: str) -> str:
    """Run a command of the service with its settings; return what it prints."""
    command = [sys.executable, "-m", "rerankd.cli", *arguments, "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def new_key(file: Path, name: str, *arguments: str) -> str:
    """Make an API key in the store."""
    return str(json.loads(rerankd(file, "keys", "create", name, "--json", *arguments))["secret"])


async def test_no_call_fails(tmp_path: Path, provider: Upstream, redis: RedisServer, postgres: PostgresServer) -> None:
    wanted = settings(provider, redis, postgres)
    file = tmp_path / "store.yaml"
    file.write_text(yaml.safe_dump(wanted))
    rerankd(file, "migrate")
    key, limited = new_key(file, "load"), new_key(file, "few", "--group", "limited")
    with Cluster(tmp_path, wanted, 3) as cluster:
        await until(lambda: cluster.healthy("grpc") == cluster.healthy("http") == 3)
        async with under_load(cluster.envoy.address, cluster.envoy.url, key) as load:
            await asyncio.sleep(STEADY_S)
            assert await burst(cluster.envoy.url, limited, 3 * LIMIT) == {200: LIMIT, 429: 2 * LIMIT}
            first, second, _ = cluster.replicas
            await off_the_loop(first.kill)
            await off_the_loop(first.start)
            assert load.failures == [], "after SIGKILL"
            await off_the_loop(second.drain)
            await off_the_loop(second.start)
            assert load.failures == [], "after SIGTERM"
            await off_the_loop(lambda: roll(cluster, wanted))
            assert load.failures == [], "after new settings"
            await off_the_loop(redis.kill)
            await off_the_loop(redis.start)
            assert load.failures == [], "after Redis restarted"
            await off_the_loop(lambda: stop_for_a_while(postgres))
            late = await asyncio.to_thread(new_key, file, "late")
            assert await burst(cluster.envoy.url, late, 3) == {200: 3}
        retries = report(load, cluster)
        assert load.failures == []
        assert retries > 0, "no call was under way when a replica was killed"
        assert min(len(tally.latencies_s) for tally in load.tallies.values()) > 100
        ended = await asyncio.gather(*(asyncio.to_thread(each.server.stop) for each in cluster.replicas))
        assert ended == [0, 0, 0]
    stored, runs = stored_in(postgres)
    calls = sum(len(tally.latencies_s) for tally in load.tallies.values())
    print(f"{calls} calls answered, {runs} runs stored, {len(load.answered - stored)} not stored")
    assert load.answered <= stored
    assert runs >= calls


def roll(cluster: Cluster, wanted: dict[str, Any]) -> None:
    """Give every replica new settings, and restart the last one as a rollout does."""
    for each in cluster.replicas:
        each.write({**wanted, "aliases": {"search": MODEL}, "limits": {"max_documents": 500}})
        each.server.wait_for_log("settings reloaded")
    cluster.replicas[0].drain()
    cluster.replicas[0].start()


def stored_in(postgres: PostgresServer) -> tuple[set[str], int]:
    """Return the ids of the requests whose runs are stored, and how many runs there are."""
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("select request_id from runs").fetchall()
    return {row[0] for row in rows}, len(rows)


def stop_for_a_while(postgres: PostgresServer) -> None:
    """Stop PostgreSQL, and start it again after `POSTGRES_AWAY_S`."""
    postgres.stop()
    time.sleep(POSTGRES_AWAY_S)
    postgres.start()


def report(load: Load, cluster: Cluster) -> int:
    """Print what became of the calls, and what Envoy did for it; return how many calls it sent again."""
    print()
    for name, tally in load.tallies.items():
        print(f"{name:6}{tally}")
    retries = cluster.envoy.stats(r"^cluster\.rerankd_(grpc|http)\.upstream_rq_retry(_success)?$")
    for name, value in retries.items():
        print(f"envoy {name.removeprefix('cluster.')} {value}")
    return sum(value for name, value in retries.items() if name.endswith("upstream_rq_retry"))
