"""New settings in a running server: by SIGHUP and by file, good and bad, under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.canary import CANARY_SECRET
from tests.support.server import ServerProcess
from tests.support.transports import METHOD
from tests.support.upstream import Upstream, answer_well
from tests.support.waiting import until

RELOADED = "settings reloaded"
REFUSED = "settings not reloaded; the old ones stay in force"
OUTCOMES = (RELOADED, REFUSED, "settings unchanged", "settings changed that need a restart")
SECRET = f"reload-{CANARY_SECRET}"
RELOADS = 20
BAD_FILES = (
    "aliases: [1\n",
    "providers: {cohere: {bse_url: x}}\n",
    "providers: {voyage: {}}\n",
    "limits: {max_documents: 0}\n",
)


def good(url: str, number: int) -> str:
    """Settings of which aliases, a provider's key or the HTTP transport change from one number to the next."""
    return yaml.safe_dump(
        {
            "default_model": "search",
            "cache": {"enabled": False},
            "aliases": {"search": "cohere/rerank-v3.5", f"alias-{number}": "local/bm25"},
            "providers": {
                "cohere": {"base_url": url, "api_key": f"{SECRET}-{number // 2}"},
                "tei": {"base_url": url},
            },
            "transport": {"client": ("httpx", "loop", "auto")[number // 4 % 3]},
        }
    )


def replace(file: Path, text: str) -> None:
    """Write as editors do: a new file in the place of the old."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


def outcomes(server: ServerProcess, *events: str) -> list[dict[str, Any]]:
    return [entry for entry in list(server.log) if entry.get("event") in (events or OUTCOMES)]


def answer_slowly(request: Received) -> ScriptedResponse:
    """Answer one request after the other, so that some are under way whenever settings change."""
    time.sleep(0.01)
    return answer_well(request)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_slowly) as served:
        yield served


def keys_of(upstream: Upstream) -> set[str | None]:
    return {request.headers.get("authorization") for request in upstream.received}


@pytest.mark.slow
async def test_twenty_reloads_under_load_lose_no_call(upstream: Upstream, tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    replace(file, good(upstream.url, 0))
    server = ServerProcess("--config", str(file), environment={"NO_PROXY": "127.0.0.1"})
    stop = asyncio.Event()
    calls: Counter[str] = Counter()

    async def caller(name: str, call: Callable[[], Awaitable[str | None]]) -> None:
        while not stop.is_set():
            calls[await call() or name] += 1

    request = {"query": "solar sail", "documents": ["a desert planet", "the solar sail opened"]}
    message = pb.RerankRequest(query="solar sail", documents=[pb.Document(text=text) for text in request["documents"]])

    async def items() -> AsyncIterator[pb.BatchRerankRequest]:
        while not stop.is_set():
            yield pb.BatchRerankRequest(item=pb.BatchItem(request=message))
            await asyncio.sleep(0.01)

    async with (
        grpc.aio.insecure_channel(server.grpc_address) as channel,
        httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
    ):
        rerank: Any = channel.unary_unary(METHOD)
        batch: Any = channel.stream_stream(METHOD.replace("/Rerank", "/BatchRerank"))

        async def by_grpc() -> str | None:
            try:
                response = pb.RerankResponse.FromString(await rerank(message.SerializeToString()))
            except grpc.aio.AioRpcError as error:
                return f"failed: grpc {error.code().name}: {error.details()}"
            return None if response.results[0].index == 1 else "failed: grpc: order"

        async def by_http() -> str | None:
            response = await client.post("/v1/rerank", json=request)
            is_good = response.status_code == 200 and response.json()["results"][0]["index"] == 1
            return None if is_good else f"failed: http {response.status_code}: {response.text}"

        async def by_batch() -> None:
            async for data in batch(each.SerializeToString() async for each in items()):
                response = pb.BatchRerankResponse.FromString(data)
                if response.HasField("item"):
                    calls["batch" if response.item.status.code == 0 else f"failed: {response.item.status}"] += 1

        callers = [asyncio.create_task(caller("grpc", by_grpc)) for _ in range(4)]
        callers += [asyncio.create_task(caller("http", by_http)) for _ in range(4)]
        callers.append(asyncio.create_task(by_batch()))
        for number in range(1, RELOADS + 1):
            seen = len(outcomes(server, RELOADED, REFUSED))
            is_bad = number % 3 == 0
            replace(file, BAD_FILES[number // 3 % len(BAD_FILES)] if is_bad else good(upstream.url, number))
            if number % 5:  # without a signal, it is a second until the files are looked at
                server.process.send_signal(signal.SIGHUP)
            await until(lambda seen=seen: len(outcomes(server, RELOADED, REFUSED)) > seen)  # type: ignore[misc]  # bound now
            if not is_bad:  # calls come with the key of now
                await until(lambda key=f"Bearer {SECRET}-{number // 2}": key in keys_of(upstream))  # type: ignore[misc]  # bound now
        answer = await client.post("/v1/rerank", json={**request, "model": f"alias-{RELOADS}"})
        gone = await client.post("/v1/rerank", json={**request, "model": "alias-1"})
        await until(lambda: min(calls["grpc"], calls["http"], calls["batch"]) > 50)
        stop.set()
        await asyncio.gather(*callers)
    assert server.stop() == 0
    assert [name for name in calls if name.startswith("failed")] == []
    assert (answer.status_code, answer.json().get("model", answer.text), gone.status_code) == (200, "local/bm25", 404)
    events = [entry["event"] for entry in outcomes(server, RELOADED, REFUSED)]
    assert events == [REFUSED if number % 3 == 0 else RELOADED for number in range(1, RELOADS + 1)]
    assert SECRET not in json.dumps(server.log)
    assert not [entry for entry in server.log if entry.get("level") == "error"]
    keys = keys_of(upstream)
    assert keys >= {f"Bearer {SECRET}-{number // 2}" for number in (1, 2, 4, RELOADS)}


async def test_a_bad_file_is_explained_and_fixed_settings_are_named(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    replace(file, "aliases: {fast: local/bm25}\n")
    server = ServerProcess("--config", str(file))
    try:
        replace(file, "aliasses: {}\nserver: {htp_port: 1}\n")
        problems = await asyncio.to_thread(server.wait_for_log, REFUSED)
        replace(
            file,
            "server: {drain_grace_s: 5}\nlocal: {budget_ms: 9}\naliases: {quick: local/bm25}\nlog: {level: debug}\n",
        )
        reloaded = await asyncio.to_thread(server.wait_for_log, RELOADED)
        fixed = await asyncio.to_thread(server.wait_for_log, OUTCOMES[3])
        server.process.send_signal(signal.SIGHUP)
        await until(lambda: len(outcomes(server, OUTCOMES[3])) == 2)
    finally:
        assert server.stop() == 0
    assert problems["problems"] == [
        "aliasses is not a setting; did you mean aliases?",
        "server.htp_port is not a setting; did you mean server.http_port?",
    ]
    assert problems["level"] == "warning"
    assert sorted(reloaded["changed"]) == ["aliases.fast", "aliases.quick", "log.level"]
    assert fixed["needs_restart"] == ["server.drain_grace_s", "local.budget_ms"]


async def test_a_mounted_folder_is_swapped_and_a_secret_rotated(upstream: Upstream, tmp_path: Path) -> None:
    """As Kubernetes does it: the files are links into a folder that is itself a link, which is replaced."""
    settings = {
        "cache": {"enabled": False},
        "providers": {"cohere": {"base_url": upstream.url, "api_key": "${file:key}"}},
    }

    def mount(number: int, **files: str) -> None:
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        (tmp_path / "..new").symlink_to(folder.name)
        (tmp_path / "..new").replace(tmp_path / "..data")

    mount(1, settings=yaml.safe_dump(settings), key=f"{SECRET}-1\n")
    for name in ("settings", "key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    server = ServerProcess("--config", str(tmp_path / "settings"), environment={"NO_PROXY": "127.0.0.1"})
    request = {"model": "cohere/rerank-v3.5", "query": "a", "documents": ["a", "b"]}
    try:
        async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
            assert (await client.post("/v1/rerank", json=request)).status_code == 200
            mount(2, settings=yaml.safe_dump(settings), key=f"{SECRET}-2\n")
            reloaded = await asyncio.to_thread(server.wait_for_log, RELOADED)
            assert (await client.post("/v1/rerank", json=request)).status_code == 200
    finally:
        assert server.stop() == 0
    assert reloaded["changed"] == ["providers.cohere.api_key"]
    assert [each.headers["authorization"] for each in upstream.received] == [f"Bearer {SECRET}-1", f"Bearer {SECRET}-2"]
    assert SECRET not in json.dumps(server.log)


async def test_every_worker_reloads_and_a_replaced_one_starts_with_the_new_settings(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    replace(file, "aliases: {fast: local/bm25}\nlocal: {static_table: false}\n")
    server = ServerProcess("--workers", "2", "--config", str(file))
    try:
        replace(file, "aliases: {quick: local/bm25}\nlocal: {static_table: false}\n")
        server.process.send_signal(signal.SIGHUP)
        await until(lambda: len({entry["worker"] for entry in outcomes(server, RELOADED)}) == 2)
        workers = {entry["worker_pid"] for entry in outcomes(server, RELOADED)}
        os.kill(workers.pop(), signal.SIGKILL)
        await until(lambda: len([entry for entry in server.log if entry["event"] == "ready"]) == 3, 60)
        async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
            for _ in range(8):
                body = {"model": "quick", "query": "a", "documents": ["a", "b"]}
                answer = await client.post("/v1/rerank", json=body, headers={"connection": "close"})
                assert answer.status_code == 200, answer.text
    finally:
        assert server.stop() == 0
    assert not outcomes(server, REFUSED, OUTCOMES[3])
