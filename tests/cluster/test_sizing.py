"""What a call asks of Redis and PostgreSQL, and what workers and connections take, as docs/operations.md says."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
import yaml
from redis import Redis

from tests.cluster.load import MODEL, QUERY
from tests.cluster.test_cluster import new_key, rerankd
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream
from tests.support.waiting import until

CALLS = 100
DOCUMENTS = 4
CONNECTIONS = 400
LIMITS = [{"name": "all", "calls_per_minute": 1_000_000}]
MIB = 2**20
SCOPES = ("admin", "runs.read", "rerankers.read")
PATHS = ("/api/runs", "/api/judgements", "/api/experiments", "/api/reranker", "/v1/spend", "/v1/keys")
"""What reads the store."""


def served(folder: Path, settings: dict[str, Any], *arguments: str) -> ServerProcess:
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ServerProcess("--config", str(file), *arguments, environment={"NO_PROXY": "127.0.0.1"}, preloads=True)


def providers(provider: Upstream) -> dict[str, Any]:
    return {"cohere": {"base_url": provider.url, "api_key": "x", "models": {"*": {"scoring": "pointwise"}}}}


def call_all(server: ServerProcess, first: int = 0, key: str = "") -> None:
    """Send `CALLS` calls one after the other, whose documents are numbered from `first`."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=server.http_url, headers=headers, trust_env=False, timeout=60) as client:
        for number in range(CALLS):
            texts = [f"text {first + DOCUMENTS * number + index} of France" for index in range(DOCUMENTS)]
            answer = client.post("/v1/rerank", json={"model": MODEL, "query": QUERY, "documents": texts})
            assert answer.status_code == 200, answer.text


class Commands:
    """Counts what a Redis is asked, by the commands of clients and those of scripts."""

    def __init__(self, server: RedisServer) -> None:
        self.redis = Redis.from_url(server.url)
        self._before: dict[str, Any] = {}

    def reset(self) -> None:
        self.redis.config_resetstat()

    def read(self) -> tuple[Counter[str], float]:
        """Return the commands by name, and the microseconds that Redis worked on those of clients."""
        found: dict[str, Any] = self.redis.info("commandstats")
        counts = Counter({name.removeprefix("cmdstat_"): stats["calls"] for name, stats in found.items()})
        for own in ("info", "config|resetstat"):
            del counts[own]
        asked = [stats["usec"] for name, stats in found.items() if name.endswith(("_mget", "_evalsha", "_eval"))]
        return counts, sum(asked)


@pytest.fixture
def ledger() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


def test_redis(tmp_path: Path, provider: Upstream, redis: RedisServer, ledger: RedisServer) -> None:
    settings = {
        "local": {"enabled": False},
        "cache": {"redis_url": redis.url},
        "access": {"ledger": {"redis_url": ledger.url}, "limits": LIMITS},
        "providers": providers(provider),
    }
    cache, limits = Commands(redis), Commands(ledger)
    server = served(tmp_path, settings)
    try:
        call_all(server, first=10_000)  # loads the scripts
        print()
        for name, in_cache in (("new pairs", (1, 1)), ("pairs in memory", (0, 0))):
            for each in (cache, limits):
                each.reset()
            call_all(server)
            for store, (reads, writes), reader in (("cache", in_cache, cache), ("ledger", (0, 2), limits)):
                counts, busy_us = reader.read()
                scripts = counts["eval"] + counts["evalsha"]
                inside = sum(counts.values()) - counts["mget"] - scripts
                print(
                    f"Redis, {store}, {name}, a call: {counts['mget'] / CALLS:g} MGET, "
                    f"{scripts / CALLS:g} scripts of {inside / CALLS:g} commands, {busy_us / CALLS:.0f} us"
                )
                # A read that comes too late is not repeated, and a heartbeat comes now and then.
                assert counts["mget"] <= reads * CALLS, (store, name, counts)
                assert scripts <= writes * CALLS + 20, (store, name, counts)
    finally:
        assert server.stop() == 0
    connections = [int(each.info("clients")["connected_clients"]) for each in (cache.redis, limits.redis)]
    assert connections == [1, 1], "the server left connections"


@pytest.mark.parametrize("durability", ["none", "async", "sync"])
def test_postgresql(tmp_path: Path, provider: Upstream, durability: str) -> None:
    """The database of keys, spend and, unless `durability` is none, all runs."""
    postgres = PostgresServer(logs_statements=True)
    runs = {"calls": "none"} if durability == "none" else {"calls": "all", "durability": durability}
    settings = {
        "local": {"enabled": False},
        "store": {"url": postgres.url},
        "runs": runs,
        "access": {"enabled": True},
        "providers": providers(provider),
    }
    file = tmp_path / "store.yaml"
    file.write_text(yaml.safe_dump(settings))
    try:
        rerankd(file, "migrate")
        key = new_key(file, "load")
        server = served(tmp_path, settings)
        try:
            call_all(server, first=10_000, key=key)
            before, began_s = len(postgres.statements()), time.monotonic()
            call_all(server, key=key)
            await_stored(server, durability)
            took_s = time.monotonic() - began_s
            kinds = Counter(kind_of(statement) for statement in postgres.statements()[before:])
        finally:
            assert server.stop() == 0
    finally:
        postgres.close()
    print(f"\nPostgreSQL, runs {durability}, {CALLS} calls in {took_s:.1f} s: {dict(sorted(kinds.items()))}")
    stored = 0 if durability == "none" else CALLS
    assert stored <= kinds["INSERT INTO runs"] <= stored + 10
    # Of a call's own, beside what looks for changes twice a second each: of keys, of sessions that ended, of rerankers.
    assert kinds["SELECT"] < 8 * took_s + 20
    if durability == "async":
        assert kinds["COMMIT"] < CALLS / 2 + 8 * took_s


async def test_connections_of_a_worker_to_postgresql(tmp_path: Path) -> None:
    """All that a worker reads and writes shares `store.max_connections`; the run log has one of its own."""
    postgres = PostgresServer()
    settings = {
        "local": {"enabled": False},
        "store": {"url": postgres.url, "max_connections": 2},
        "access": {"enabled": True, "spend": {"write_every_s": 0.1}},
        "runs": {"calls": "all", "durability": "sync"},
    }
    file = tmp_path / "store.yaml"
    file.write_text(yaml.safe_dump(settings))
    try:
        rerankd(file, "migrate")
        key = new_key(file, "reader", *(part for scope in SCOPES for part in ("--scope", scope)))
        server = await asyncio.to_thread(served, tmp_path, settings)
        try:
            headers, url = {"authorization": f"Bearer {key}"}, server.http_url
            async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
                answers = await asyncio.gather(*(client.get(path) for path in PATHS * 20))
            assert {answer.status_code for answer in answers} == {200}
            with psycopg.connect(postgres.url) as connection:
                (count,) = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                    "AND pid <> pg_backend_pid()"
                ).fetchone() or (0,)
        finally:
            assert server.stop() == 0
    finally:
        postgres.close()
    assert 0 < count <= 2 + 1


def await_stored(server: ServerProcess, durability: str) -> None:
    """Wait until the runs of all calls, and of those before, are in the database."""
    wanted, give_up_s = 0 if durability == "none" else 2 * CALLS, time.monotonic() + 60
    while runs_stored(server) < wanted:
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


def runs_stored(server: ServerProcess) -> float:
    text = httpx.get(f"{server.http_url}/metrics", trust_env=False, timeout=30).text
    found = re.search(r'^rerankd_runs_total\{result="stored"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0


def kind_of(statement: str) -> str:
    """Return what a statement does: its first word, with the table where it writes."""
    words = statement.rstrip(";").split()
    if not words:
        return "ping"
    table = {"INSERT": 3, "UPDATE": 2, "DELETE": 3}.get(words[0].upper(), 1)
    return " ".join(words[:table])


def memory_of(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process, and its share of it where pages are shared, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (int(re.search(rf"^{name}: +(\d+) kB", text, re.MULTILINE)[1]) for name in ("Rss", "Pss"))  # type: ignore[index]  # both are always there
    return rss / 1024, pss / 1024


def files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("has_models", [False, True], ids=["providers alone", "embedded models"])
async def test_memory_of_workers(tmp_path: Path, has_models: bool) -> None:
    settings = {"local": {"enabled": has_models}}
    server = await asyncio.to_thread(served, tmp_path, settings, "--workers", "2")
    try:
        ready = [entry for entry in server.log if entry["event"] == "ready"]
        await until(lambda: len([entry for entry in server.log if entry["event"] == "ready"]) == 2)
        ready = [entry for entry in server.log if entry["event"] == "ready"]
        pids = {"supervisor": server.process.pid, **{f"worker {each['worker']}": each["worker_pid"] for each in ready}}
        sizes = {name: memory_of(pid) for name, pid in pids.items()}
    finally:
        assert server.stop() == 0
    print()
    for name, (rss, pss) in sizes.items():
        print(f"{name}, models {has_models}: {rss:.0f} MiB resident, {pss:.0f} its share")
    assert max(rss for name, (rss, _) in sizes.items() if name != "supervisor") < (800 if has_models else 200)


async def test_connections(tmp_path: Path) -> None:
    server = await asyncio.to_thread(served, tmp_path, {"local": {"enabled": False}})
    pid = server.process.pid
    print()
    try:
        with ExitStack() as stack:
            files, (rss, _) = files_of(pid), memory_of(pid)
            host, _, port = server.http_url.removeprefix("http://").partition(":")
            for _ in range(CONNECTIONS):
                stack.enter_context(socket.create_connection((host, int(port))))
            await until(lambda: files_of(pid) >= files + CONNECTIONS)
            say("HTTP", files_of(pid) - files, memory_of(pid)[0] - rss)
        await until(lambda: files_of(pid) <= files + 5)
        files, (rss, _) = files_of(pid), memory_of(pid)
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(server.grpc_address, own) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        say("gRPC", files_of(pid) - files, memory_of(pid)[0] - rss)
        for channel in channels:
            await channel.close()
    finally:
        assert server.stop() == 0


def say(kind: str, files: int, mib: float) -> None:
    print(f"{kind}: {files / CONNECTIONS:g} files and {mib * 1024 / CONNECTIONS:.0f} KiB for each idle connection")
    assert CONNECTIONS <= files <= CONNECTIONS + 5
    assert mib * 1024 < 200 * CONNECTIONS
