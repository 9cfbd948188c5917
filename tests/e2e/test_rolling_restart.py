"""Workers that are replaced one after another, that cannot start, and whose supervisor is gone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.certificates import HOST, authority, write_authority
from tests.support.server import ServerProcess
from tests.support.waiting import until

BODY = {"model": "local/bm25", "query": "a", "documents": ["a", "b" * 1000]}
START_S = 180.0
COMPLETE = "rolling restart complete"


def settings(**more: Any) -> dict[str, Any]:
    return {"local": {"enabled": True, "static_table": False}, **more}


class Workers:
    """A server of two workers and its settings file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "rerankd.yaml"
        self.write(yaml.safe_dump(settings()))
        self.folder = folder
        environment = {"TMPDIR": str(folder)}
        self.server = ServerProcess("--workers", "2", "--config", str(self.file), environment=environment)

    def write(self, text: str) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.file)

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in list(self.server.log) if entry.get("event") == event]

    def pids(self) -> list[int]:
        """Return the processes of all workers that became ready, in that order."""
        return [entry["worker_pid"] for entry in self.logged("ready")]

    async def started(self, count: int = 2) -> None:
        await until(lambda: len(self.pids()) == count, START_S)

    async def roll(self) -> None:
        before = len(self.logged(COMPLETE))
        self.server.process.send_signal(signal.SIGUSR2)
        await until(lambda: len(self.logged(COMPLETE)) > before, START_S)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    opened = Workers(tmp_path)
    yield opened
    assert opened.server.stop() == 0


async def statuses(url: str, calls: int = 10) -> set[int]:
    """Call over new connections, which reach every worker; one that ends may break those it has not accepted yet."""
    transport = httpx.AsyncHTTPTransport(retries=2)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=30) as client:
        headers = {"connection": "close"}
        return {(await client.post("/v1/rerank", json=BODY, headers=headers)).status_code for _ in range(calls)}


async def test_every_worker_is_replaced_and_the_service_stays_ready(workers: Workers) -> None:
    await workers.started()
    old = set(workers.pids())
    seen: Counter[int] = Counter()

    async def check() -> None:
        async with httpx.AsyncClient(base_url=workers.server.http_url, trust_env=False, timeout=30) as client:
            while True:
                try:
                    seen[(await client.get("/ready", headers={"connection": "close"})).status_code] += 1
                except httpx.TransportError:
                    seen[0] += 1

    checking = asyncio.create_task(check())
    # `limits.max_request_bytes` is of the settings that a reload does not apply.
    workers.write(yaml.safe_dump(settings(limits={"max_request_bytes": 500})))
    await workers.roll()
    checking.cancel()
    assert seen.keys() <= {200, 0}
    assert seen[200] > 20
    assert seen[0] <= 2, "connections broken by workers that ended"
    assert await statuses(workers.server.http_url) == {413}
    assert not old & set(workers.pids()[2:])
    assert [entry["worker"] for entry in workers.logged("worker replaced")] == [0, 1]
    assert [entry["delay_s"] for entry in workers.logged("draining")] == [0, 0]
    assert not workers.logged("worker died")


async def test_counters_go_on_in_the_files_of_workers_that_ended(workers: Workers) -> None:
    await workers.started()
    for calls in (6, 12):
        assert await statuses(workers.server.http_url, 6) == {200}
        await workers.roll()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            text = (await client.get(f"{workers.server.http_url}/metrics")).text
        found = re.findall(r"^rerankd_calls_total\{.*\} (\S+)$", text, re.MULTILINE)
        assert sum(map(float, found)) == calls
        assert "rerankd_calls_in_flight 0.0" in text
    files = [path.name for path in workers.folder.glob("rerankd-metrics-*/*.db")]
    assert len([name for name in files if name.startswith("counter")]) <= 3
    assert len([name for name in files if name.startswith("gauge")]) == 2


async def test_settings_that_cannot_be_used_replace_no_worker(workers: Workers) -> None:
    await workers.started()
    workers.write("aliasses: {}\n")
    workers.server.process.send_signal(signal.SIGUSR2)
    await until(lambda: workers.logged("rolling restart refused: the settings cannot be used"))
    workers.write(yaml.safe_dump(settings(server={"tls": {"certificate_file": "/none", "key_file": "/none"}})))
    workers.server.process.send_signal(signal.SIGUSR2)
    stopped = "rolling restart stopped: a new worker did not start; the old ones stay"
    await until(lambda: workers.logged(stopped), START_S)
    assert workers.logged(stopped)[0]["replaced"] == 0
    assert len(workers.pids()) == 2
    assert await statuses(workers.server.http_url) == {200}
    workers.write(yaml.safe_dump(settings()))
    await workers.roll()
    assert len(workers.pids()) == 4
    assert await statuses(workers.server.http_url) == {200}


async def test_a_worker_that_dies_during_a_rolling_restart_is_replaced_all_the_same(workers: Workers) -> None:
    await workers.started()
    first = {entry["worker"]: entry["worker_pid"] for entry in workers.logged("ready")}[1]
    workers.server.process.send_signal(signal.SIGUSR2)
    os.kill(first, signal.SIGKILL)
    await until(lambda: workers.logged(COMPLETE), START_S)
    assert await statuses(workers.server.http_url) == {200}


async def test_one_worker_alone_says_that_it_cannot_be_replaced() -> None:
    server = ServerProcess()
    server.process.send_signal(signal.SIGUSR2)
    said = await asyncio.to_thread(
        server.wait_for_log, "a rolling restart needs server.workers of 2 or more; SIGHUP reloads the settings"
    )
    assert said["level"] == "warning"
    assert await statuses(server.http_url, 1) == {200}
    assert server.stop() == 0


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    await workers.started()
    assert workers.server.stop(signal.SIGKILL) == -signal.SIGKILL

    port = int(workers.server.http_url.rpartition(":")[2])

    def is_refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) != 0

    await until(is_refused, START_S)


async def test_a_worker_that_cannot_start_again_stops_no_other(tmp_path: Path) -> None:
    issued, chain, key = authority().issue_cert(HOST), tmp_path / "server.pem", tmp_path / "server.key"
    chain.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    tls = {"certificate_file": str(chain), "key_file": str(key)}
    environment = {"RERANKD_SERVER__TLS": json.dumps(tls), "RERANKD_LOCAL__ENABLED": "false"}
    server = await asyncio.to_thread(lambda: ServerProcess("--workers", "2", environment=environment))

    def of(event: str) -> list[dict[str, Any]]:
        return [entry for entry in list(server.log) if entry.get("event") == event]

    await until(lambda: len(of("ready")) == 2, START_S)
    away = key.rename(tmp_path / "away.key")
    os.kill(of("ready")[0]["worker_pid"], signal.SIGKILL)
    await until(lambda: len(of("worker died")) == 3, START_S)
    context = ssl.create_default_context(cafile=str(write_authority(tmp_path)))
    url = server.http_url.replace("http://", "https://")
    async with httpx.AsyncClient(base_url=url, verify=context, trust_env=False, timeout=30) as client:
        answers = [await client.get("/ready", headers={"connection": "close"}) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    away.rename(key)
    await until(lambda: len(of("ready")) == 3, START_S)
    assert [entry["restart_in_s"] for entry in of("worker died")][:3] == [0, 1, 2]
    assert server.stop() == 0
