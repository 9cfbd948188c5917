"""Workers of one server that die, drain, are replaced and change under load cost no caller a call."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.load import BATCH_MODEL, CALLERS, MODEL, MOST_UNANSWERED, PACE_S, Load, burst, under_load
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream
from tests.support.waiting import until

WORKERS: Final = 2
STEADY_S: Final = 1.0
"""Before and after each event."""
EVENT_S: Final = 180.0
"""Longest time for a worker to start, or to end, on a busy machine."""
TEST_S: Final = 900.0
LIMIT: Final = 40
"""Calls a minute of each group that is limited."""
FLUSH_S: Final = 0.05
"""Ended calls are counted so much later at most, on a machine that is not busy (docs/telemetry.md)."""
KINDS: Final = {"grpc": ("grpc", MODEL), "http": ("http", MODEL), "batch": ("grpc", BATCH_MODEL)}
"""Of calls: the labels `transport` and `model` of their metrics."""


def settings(provider: Upstream, folder: Path) -> dict[str, Any]:
    """Return a newcomer's settings, with what the test counts; the grace of the drain is shorter than its default."""
    return {
        "server": {"workers": WORKERS, "drain_grace_s": 3},
        "store": {"state_dir": str(folder)},
        "runs": {"calls": "all", "durability": "sync", "sync_timeout_s": 30},
        "access": {
            "enabled": True,
            "limits": [{"name": "few", "per": "group", "match": "limited-*", "calls_per_minute": LIMIT}],
            "ledger": {"fail_mode": "closed"},
        },
        "providers": {"cohere": {"base_url": provider.url, "api_key": "x", "models": {"*": {"scoring": "pointwise"}}}},
    }


class Workers:
    """A server of several workers, seen through its log."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys = {name: self._new_key(name) for name in ("load", "limited-1", "limited-2")}
        self.server = ServerProcess("--config", str(file), environment={"NO_PROXY": "127.0.0.1"}, preloads=True)

    def _new_key(self, name: str) -> str:
        command = [sys.executable, "-m", "rerankd.cli", "keys", "create", name, "--group", name, "--json"]
        done = subprocess.run(
            [*command, "--config", str(self.file)], capture_output=True, text=True, check=True, timeout=60
        )
        return str(json.loads(done.stdout)["secret"])

    def pids(self) -> dict[int, int]:
        """Return the process of each worker that became ready last."""
        return {entry["worker"]: entry["worker_pid"] for entry in list(self.server.log) if entry["event"] == "ready"}

    def count(self, event: str) -> int:
        return sum(entry["event"] == event for entry in list(self.server.log))

    async def replace(self, number: signal.Signals) -> None:
        """Signal worker 0, and wait for the next one in its place."""
        old = self.pids()[0]
        os.kill(old, number)
        await until(lambda: self.pids()[0] != old, EVENT_S)

    async def roll(self) -> None:
        """Replace all workers, and send a burst to those of both generations."""
        before = self.count("ready")
        self.server.process.send_signal(signal.SIGUSR2)
        await until(lambda: self.count("ready") > before, EVENT_S)
        limited = burst(self.server.http_url, self.keys["limited-2"], 3 * LIMIT, repeats=2)
        assert await limited == {200: LIMIT, 429: 2 * LIMIT}
        await until(lambda: self.count("rolling restart complete"), EVENT_S)

    async def reload(self) -> None:
        """Change the settings, and wait until every worker has them."""
        changed = {**yaml.safe_load(self.file.read_text()), "aliases": {"search": MODEL}}
        draft = self.file.with_suffix(".new")
        draft.write_text(yaml.safe_dump(changed))
        draft.replace(self.file)
        await until(lambda: self.count("settings reloaded") == WORKERS, EVENT_S)

    async def calls_counted(self) -> Counter[str]:
        """Return the answered calls of each kind that `/metrics` counts, of all workers together."""
        await asyncio.sleep(10 * FLUSH_S)  # a worker counts its calls when it is asked, the others soon
        headers = {"connection": "close"}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            pages = [await client.get(f"{self.server.http_url}/metrics", headers=headers) for _ in range(4)]
        counts = [answered_calls(page.text) for page in pages]
        assert all(each == counts[0] for each in counts), f"workers disagree: {counts}"
        return counts[0]


@dataclass
class Row:
    """What became of the calls during one event."""

    event: str
    load: Load
    took_s: float
    counted: Counter[str]
    """Answered calls of each kind by the sum of the workers' metrics."""

    @property
    def answered(self) -> Counter[str]:
        return Counter({name: len(tally.latencies_s) for name, tally in self.load.tallies.items()})

    def __str__(self) -> str:
        answered, tallies = self.answered, self.load.tallies
        calls = " | ".join(f"{count:,} ({self.counted[name] - count:+d})" for name, count in answered.items())
        longest_ms = 1e3 * max(max(tally.latencies_s) for tally in tallies.values())
        return (
            f"| {self.event} | {self.took_s:.1f} | {calls} | {len(self.load.failures)} "
            f"| {tallies['http'].repeated} | {tallies['batch'].repeated} | {longest_ms:,.0f} |"
        )


async def observe(workers: Workers, event: str, action: Callable[[], Awaitable[None]], others: int = 0) -> Row:
    """Call while something happens, with the clients' documented retries.

    Args:
        workers: Of the server.
        event: What happens.
        action: Has it happen, and waits for its end.
        others: HTTP calls that it answers itself.
    """
    before = await workers.calls_counted()
    server, began_s = workers.server, time.monotonic()
    async with under_load(
        server.grpc_address, server.http_url, workers.keys["load"], max_attempts=4, repeats=2
    ) as load:
        await asyncio.sleep(STEADY_S)
        event_s = time.monotonic()
        await action()
        event_s = time.monotonic() - event_s
        await asyncio.sleep(STEADY_S)
    counted = await workers.calls_counted()
    counted.subtract(before)
    counted["http"] -= others
    row = Row(event, load, event_s, counted)
    print(row, f"load average {os.getloadavg()[0]:.0f}, {time.monotonic() - began_s:.0f} s")
    assert load.failures == [], event
    assert min(len(tally.latencies_s) for tally in load.tallies.values()) > 20, event
    return row


def answered_calls(text: str) -> Counter[str]:
    """Read the answered calls of each kind from `/metrics`."""
    found: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == "rerankd_calls" else ():
            for name, (transport, model) in KINDS.items():
                wanted = {"transport": transport, "model": model, "code": "OK"}
                found[name] += int(sample.value) if wanted.items() <= sample.labels.items() else 0
    return found


async def nothing() -> None:
    """Have the load go on."""
    await asyncio.sleep(2 * STEADY_S)


async def test_no_call_fails(tmp_path: Path, provider: Upstream) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(provider, tmp_path)))
    workers = await asyncio.to_thread(Workers, file)
    server = workers.server
    try:
        async with asyncio.timeout(TEST_S):
            rows, limited = await go_through(workers)
    finally:
        ended = await asyncio.to_thread(server.stop)
    stored, runs = stored_in(tmp_path / "rerankd.db")
    answered = set[str]().union(*(row.load.answered for row in rows))
    print(f"{len(answered)} unary calls answered, {len(answered - stored)} of them not stored, {runs} runs")
    assert ended == 0
    assert answered <= stored
    assert runs >= sum(row.answered.total() for row in rows) + limited
    assert [entry["event"] for entry in server.log if entry.get("level") == "error"] == ["worker died"] * 2


async def go_through(workers: Workers) -> tuple[list[Row], int]:
    """Have everything happen; return what became of the calls, and how many limited ones were answered."""
    await until(lambda: len(workers.pids()) == WORKERS, EVENT_S)
    assert await burst(workers.server.http_url, workers.keys["limited-1"], 3 * LIMIT) == {200: LIMIT, 429: 2 * LIMIT}
    print("\n| event | s | gRPC | HTTP | batch items | failed | HTTP sent again | stream resumed | longest ms |")
    steady = await observe(workers, "none", nothing)
    killed = await observe(workers, "SIGKILL of a worker", lambda: workers.replace(signal.SIGKILL))
    drained = await observe(workers, "SIGTERM of a worker", lambda: workers.replace(signal.SIGTERM))
    before = set(workers.pids().values())
    rolled = await observe(workers, "rolling restart", workers.roll, LIMIT)
    assert not before & set(workers.pids().values())
    reloaded = await observe(workers, "new settings", workers.reload)
    assert await burst(workers.server.http_url, workers.keys["load"], 3) == {200: 3}
    for row in (steady, drained, rolled, reloaded):
        check(row, lost=0, twice=0)
    # The killed worker had not counted its last calls, and those that it answered as it died were sent again.
    check(killed, lost=10 * FLUSH_S / PACE_S * CALLERS, twice=CALLERS)
    return [steady, killed, drained, rolled, reloaded], 2 * LIMIT + 3


def check(row: Row, *, lost: float, twice: int) -> None:
    """Check that the metrics count what was answered; items of a stream that broke may have been worked on twice."""
    for name, answered in row.answered.items():
        again = twice if name != "batch" else MOST_UNANSWERED * row.load.tallies["batch"].repeated
        assert answered - lost <= row.counted[name] <= answered + again, (row.event, name)


def stored_in(file: Path) -> tuple[set[str], int]:
    """Return the ids of the requests whose runs are stored, and how many runs there are."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        rows = connection.execute("select request_id from runs where status = 'ok'").fetchall()
    connection.close()
    return {row[0] for row in rows}, len(rows)
