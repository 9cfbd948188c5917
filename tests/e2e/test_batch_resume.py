"""Batch streams of the Python client outlive the worker, and the server, that served them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from rerankd_client import AsyncRerankClient, BatchItem, BatchResult, BatchSummary, RerankClient
from tests.support.server import ServerProcess

ITEMS = 400
BEFORE = 100
"""Results taken before the server is struck; the window keeps most of the items unsent until then."""


def items() -> Iterator[BatchItem]:
    for number in range(ITEMS):
        yield {"item_id": f"i{number}", "query": f"word{number}", "documents": ["other", f"a word{number}"]}


def check(results: list[BatchResult], summary: BatchSummary | None) -> None:
    """Check that each item was answered once, and right, over more than one stream."""
    assert sorted(result.item_index for result in results) == list(range(ITEMS))
    for result in results:
        assert result.item_id == f"i{result.item_index}"
        assert result.response_or_raise().results[0].index == 1
    assert summary is not None
    assert (summary.items_received, summary.items_succeeded, summary.items_failed) == (ITEMS, ITEMS, 0)
    assert summary.usage.documents == 2 * ITEMS
    assert summary.resumes >= 1


def kill_serving_worker(server: ServerProcess) -> None:
    os.kill(server.wait_for_log("call")["worker_pid"], signal.SIGKILL)
    server.wait_for_log("worker died")


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_killed_worker_costs_no_item(ordered: bool) -> None:
    server = ServerProcess("--workers", "2")
    results: list[BatchResult] = []
    async with AsyncRerankClient(server.grpc_address) as client:
        batch = client.batch_rerank(items(), defaults={"model": "local/bm25"}, ordered=ordered)
        async for result in batch:
            results.append(result)
            if len(results) == BEFORE:
                await asyncio.to_thread(kill_serving_worker, server)
    assert await asyncio.to_thread(server.stop) == 0
    check(results, batch.summary)
    if ordered:
        assert [result.item_index for result in results] == list(range(ITEMS))


def test_a_killed_worker_costs_no_item_of_the_blocking_client() -> None:
    server = ServerProcess("--workers", "2")
    results: list[BatchResult] = []
    with RerankClient(server.grpc_address) as client:
        batch = client.batch_rerank(items(), defaults={"model": "local/bm25"})
        for result in batch:
            results.append(result)
            if len(results) == BEFORE:
                kill_serving_worker(server)
    assert server.stop() == 0
    check(results, batch.summary)


async def test_a_server_that_is_replaced_costs_no_item() -> None:
    first = ServerProcess(environment={"RERANKD_SERVER__DRAIN_GRACE_S": "0.2"})
    servers = [first]

    async def slow_items() -> AsyncIterator[BatchItem]:
        for item in items():
            await asyncio.sleep(0)
            yield item

    def replace() -> None:
        assert first.stop() == 0
        servers.append(ServerProcess("--grpc-port", first.grpc_address.rpartition(":")[2]))

    results: list[BatchResult] = []
    async with AsyncRerankClient(first.grpc_address) as client:
        batch = client.batch_rerank(slow_items(), defaults={"model": "local/bm25"})
        async for result in batch:
            results.append(result)
            if len(results) == BEFORE:
                await asyncio.to_thread(replace)
    assert await asyncio.to_thread(servers[-1].stop) == 0
    check(results, batch.summary)
