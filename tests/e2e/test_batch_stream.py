"""BatchRerank over gRPC against a server process: memory, flow control, fairness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from rerank.v1 import rerank_service_pb2 as pb
from tests.support.canary import CANARY_SECRET
from tests.support.server import ServerProcess
from tests.support.transports import METHOD
from tests.support.upstream import Upstream, answer_well

BATCH = METHOD.replace("/Rerank", "/BatchRerank")
ITEMS = 40_000
MIB = 1024 * 1024

pytestmark = pytest.mark.slow


def memory_bytes(server: ServerProcess) -> int:
    """Return the memory the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def item(number: int, *documents: str, **fields: Any) -> bytes:
    texts = [pb.Document(text=text) for text in documents]
    request = pb.RerankRequest(query="solar sail", documents=texts, **fields)
    return pb.BatchRerankRequest(item=pb.BatchItem(item_id=str(number), request=request)).SerializeToString()


async def test_forty_thousand_items_in_constant_memory() -> None:
    server = ServerProcess(environment={"RERANKD_DEFAULT_MODEL": "local/bm25"})
    readings: list[int] = []
    answered = 0

    async def items() -> AsyncIterator[bytes]:
        for number in range(ITEMS):
            yield item(number, f"the solar sail number {number} opened")

    try:
        async with grpc.aio.insecure_channel(server.grpc_address) as channel:
            open_stream: Any = channel.stream_stream(BATCH)
            call = open_stream(items())
            began_s = time.monotonic()
            summary = None
            async for data in call:
                response = pb.BatchRerankResponse.FromString(data)
                if response.HasField("item"):
                    answered += 1
                    assert response.item.status.code == 0
                    if answered % 2000 == 0:
                        readings.append(memory_bytes(server))
                elif response.HasField("summary"):
                    summary = response.summary
        print(f"{ITEMS / (time.monotonic() - began_s):.0f} items/s, MiB: {[each // MIB for each in readings]}")
    finally:
        assert server.stop() == 0
    assert answered == ITEMS
    assert summary is not None
    assert (summary.items_succeeded, summary.items_failed) == (ITEMS, 0)
    # 200 bytes an item. The first readings hold what any server comes to hold: full caches, arenas of the allocator.
    assert max(readings[4:]) - readings[3] < 6 * MIB


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_well) as served:
        yield served


def serve(tmp_path: Path, url: str, **deployment: Any) -> ServerProcess:
    settings = {
        "providers": {"cohere": {"base_url": url, "api_key": CANARY_SECRET}},
        "models": {"search": {"deployments": [{"model": "cohere/rerank-v3.5", **deployment}]}},
        "default_model": "search",
        "cache": {"enabled": False},
    }
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ServerProcess("--config", str(file), environment={"NO_PROXY": "127.0.0.1"})


async def settled(count: Callable[[], int]) -> int:
    """Return the count once it has stood still for a second."""
    seen, since_s = count(), time.monotonic()
    give_up_s = since_s + 40
    while time.monotonic() - since_s < 1.0:
        assert time.monotonic() < give_up_s, "it goes on and on"
        await asyncio.sleep(0.05)
        if count() != seen:
            seen, since_s = count(), time.monotonic()
    return seen


async def test_a_client_that_stops_reading_stops_the_work(upstream: Upstream, tmp_path: Path) -> None:
    server = serve(tmp_path, upstream.url)
    long = "the solar sail opened " * 2000
    sent = 0

    async def items() -> AsyncIterator[bytes]:
        nonlocal sent
        for number in range(1000):
            yield item(number, long, return_documents=True)
            sent += 1

    try:
        async with grpc.aio.insecure_channel(server.grpc_address) as channel:
            open_stream: Any = channel.stream_stream(BATCH)
            call = open_stream(items())
            await call.read()
            assert await settled(lambda: len(upstream.received)) < 300
            assert await settled(lambda: sent) < 600
            held = memory_bytes(server)
            answered = 1
            while (data := await call.read()) is not grpc.aio.EOF:
                answered += pb.BatchRerankResponse.FromString(data).HasField("item")
            assert answered == 1000
            assert memory_bytes(server) - held < 64 * MIB
    finally:
        assert server.stop() == 0


async def test_streams_and_single_callers_are_served_in_turn(upstream: Upstream, tmp_path: Path) -> None:
    """Two long streams share one slot with single calls, each of which waits for a few items, not for the streams."""
    server = serve(tmp_path, upstream.url, max_concurrent=1)
    answered = {"one": 0, "two": 0}

    async def stream(channel: grpc.aio.Channel, name: str) -> None:
        async def items() -> AsyncIterator[bytes]:
            for number in range(600):
                yield item(number, name)

        open_stream: Any = channel.stream_stream(BATCH)
        async for data in open_stream(items()):
            answered[name] += pb.BatchRerankResponse.FromString(data).HasField("item")

    try:
        async with grpc.aio.insecure_channel(server.grpc_address) as channel:
            tasks = [asyncio.create_task(stream(channel, "one"))]
            while answered["one"] < 50:
                await asyncio.sleep(0.001)
            tasks.append(asyncio.create_task(stream(channel, "two")))
            waits = []
            request = pb.RerankRequest(query="q", documents=[pb.Document(text="single")]).SerializeToString()
            single: Any = channel.unary_unary(METHOD)
            while answered["two"] < 300:
                before = sum(answered.values())
                await single(request, timeout=20)
                waits.append(sum(answered.values()) - before)
            assert answered["one"] < 550, "the first stream goes on beside the second, no faster"
            assert len(waits) >= 5
            assert sorted(waits)[len(waits) // 2] <= 3 * 32
            await asyncio.gather(*tasks)
        assert answered == {"one": 600, "two": 600}
    finally:
        assert server.stop() == 0
