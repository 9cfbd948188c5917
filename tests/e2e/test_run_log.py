"""What becomes of runs when the server is killed under load, its disk is full, or its database is away.

Figures are printed: `pytest tests/e2e/test_run_log.py -s`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_table import RunTable
from rerankd.store.database import Database
from rerankd.store.migrating import migrate
from rerankd.store.settings import StoreSettings
from tests.support.faults import percentile
from tests.support.postgres import PostgresServer
from tests.support.server import ServerProcess

CALLERS = 4
FLUSH_S = 5.0
"""What a killed process may lose: 50 ms of the recorder, 250 ms of the writer, a commit; more on a busy machine."""
AWAY_S = 10.0


class Answered(NamedTuple):
    """A call as its caller saw it."""

    request_id: str
    status: int
    ended_s: float
    """By `time.monotonic`."""
    seconds: float


class Load:
    """Callers that call one after the other until they are stopped, or the server is gone."""

    def __init__(self, url: str, pause_s: float = 0.0) -> None:
        self.answered: list[Answered] = []
        self._host = urlsplit(url).netloc
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def slowest_ms(self, share: float) -> float:
        return percentile([each.seconds * 1000 for each in self.answered], share)

    def _call(self, caller: int) -> None:
        headers = {"content-type": "application/json"}
        body = json.dumps({"model": "support", "query": "bees", "documents": ["honey bees " * 20, "stocks"]})
        connection = http.client.HTTPConnection(self._host, timeout=30)
        number = 0
        while not self._stopping.is_set():
            number += 1
            request_id = f"drill-{caller}-{number}"
            began_s = time.monotonic()
            try:
                connection.request("POST", "/v1/rerank", body, {**headers, "x-request-id": request_id})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                break  # the server is gone
            ended_s = time.monotonic()
            self.answered.append(Answered(request_id, response.status, ended_s, ended_s - began_s))
            if self._pause_s:
                time.sleep(self._pause_s)
        connection.close()


@contextmanager
def served(tmp_path: Path, store: dict[str, Any], **runs: Any) -> Iterator[ServerProcess]:
    """A server with a reranker; it is killed at the end unless it has ended."""
    file = tmp_path / "rerankd.yaml"
    rerankers = {"support": {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}}
    file.write_text(yaml.safe_dump({"rerankers": rerankers, "store": store, "runs": runs, "log": {"sample": 0}}))
    server = ServerProcess("--config", str(file))
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def stored_in(database: Path) -> set[str]:
    """Return the request ids of the runs in a SQLite file, which must be sound."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute("SELECT request_id FROM runs")}


async def count_in(store: StoreSettings) -> int:
    """Return how many runs a store has."""
    database = Database(store)
    try:
        return await RunTable(database).count(RunFilter(), 10**9)
    finally:
        await database.close()


def runs_counted(server: ServerProcess) -> dict[str, int]:
    """Return `rerankd_runs_total` by result."""
    host = urlsplit(server.http_url).netloc
    with closing(http.client.HTTPConnection(host, timeout=30)) as connection:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    prefix = 'rerankd_runs_total{result="'
    counted = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {result: int(float(value)) for result, value in counted}


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_killed_server_loses_no_run_that_was_waited_for(durability: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with served(tmp_path, {"state_dir": str(state)}, durability=durability, sync_timeout_s=30) as server:
        load = Load(server.http_url, pause_s=0.0 if durability == "sync" else 0.02)
        give_up_s = time.monotonic() + 60
        while not runs_counted(server).get("stored"):  # the first run opens the store
            assert time.monotonic() < give_up_s
            time.sleep(0.1)
        time.sleep(FLUSH_S + 1)
        server.process.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        load.stop()
    stored = stored_in(state / "rerankd.db")
    lost = [each for each in load.answered if each.request_id not in stored]
    oldest_s = max((killed_s - each.ended_s for each in lost), default=0.0)
    print(f"\nkilled, {durability}: {len(load.answered)} answered, {len(lost)} not stored, up to {oldest_s:.2f} s old")
    assert {each.status for each in load.answered} == {200}
    assert len(load.answered) > 20
    if durability == "sync":
        assert not lost
    else:
        assert oldest_s < FLUSH_S


@pytest.mark.slow
def test_a_full_disk_fails_no_call_and_is_recovered_from(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with served(tmp_path, {"state_dir": str(state)}, queue_size=1000) as server:
        load = Load(server.http_url, pause_s=0.005)
        time.sleep(1)
        before = len(load.answered)
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1024, unlimited[1]))
        failed = server.wait_for_log("the run log's store cannot be used; calls go on, their runs wait")
        server.wait_for_log("the run log's queue is full; calls go on, their runs are lost", timeout_s=60)
        time.sleep(1)
        during = len(load.answered) - before
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        server.wait_for_log("the run log's store can be used again", timeout_s=60)
        load.stop()
        assert server.stop() == 0
        errors = [line for line in server.log if line.get("level") == "error"]
    stored = stored_in(state / "rerankd.db")
    lost = {each.request_id for each in load.answered} - stored
    print(
        f"\ndisk full ({failed['problem']}): {during} calls answered meanwhile, {len(lost)} runs lost of "
        f"{len(load.answered)}, p99 {load.slowest_ms(0.99):.0f} ms"
    )
    assert {each.status for each in load.answered} == {200}
    assert during > 20
    assert load.answered[-1].request_id in stored
    assert len([line for line in errors if "queue is full" in line["event"]]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["async", "sync"])
def test_postgresql_away_for_ten_seconds_fails_no_call_and_loses_no_run(durability: str, tmp_path: Path) -> None:
    postgres = PostgresServer()
    try:
        store = StoreSettings(url=postgres.url)
        asyncio.run(_migrated(store))
        with served(tmp_path, {"url": postgres.url}, durability=durability) as server:
            load = Load(server.http_url, pause_s=0.01)
            time.sleep(2)
            postgres.stop()
            time.sleep(AWAY_S)
            postgres.start()
            server.wait_for_log("the run log's store can be used again", timeout_s=60)
            time.sleep(1)
            load.stop()
            counted = runs_counted(server)
            assert server.stop() == 0
        stored = asyncio.run(count_in(store))
    finally:
        postgres.close()
    print(
        f"\nPostgreSQL away for {AWAY_S:.0f} s, {durability}: {len(load.answered)} calls answered, {stored} stored, "
        f"counted {counted}, p50 {load.slowest_ms(0.5):.0f} ms, p99 {load.slowest_ms(0.99):.0f} ms, "
        f"worst {load.slowest_ms(1.0):.0f} ms"
    )
    assert {each.status for each in load.answered} == {200}
    assert stored == len(load.answered)
    assert counted.get("lost", 0) == 0
    assert (counted.get("late", 0) > 0) is (durability == "sync")


async def _migrated(store: StoreSettings) -> None:
    database = Database(store)
    await migrate(database)
    await database.close()
