"""Batches: outcomes, flow control, and what happens when somebody stops."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from rerankd_client import (
    AsyncRerankClient,
    BatchItem,
    BatchProgress,
    InvalidRequest,
    RerankClient,
    Unavailable,
)

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer


class Source:
    """Counts how many of its items were taken."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.taken = 0

    def __iter__(self) -> Iterator[BatchItem]:
        for number in range(self.items):
            self.taken += 1
            yield {"item_id": f"i{number}", "query": "dune", "documents": ["sea", "dune"]}

    async def aiter(self) -> AsyncIterator[BatchItem]:
        for item in self:
            await asyncio.sleep(0)
            yield item


async def settle(source: Source, at_least: int) -> int:
    """Wait until the source was read so far and is no longer read; return how much of it was."""
    before = -1
    while before != source.taken or source.taken < at_least:
        before = source.taken
        await asyncio.sleep(0.1)
    return before


async def test_results_progress_and_summary(client: AsyncRerankClient, server: FakeServer) -> None:
    progress: list[BatchProgress] = []
    batch = client.batch_rerank(
        Source(150).aiter(),
        defaults={"top_n": 1},
        ordered=True,
        max_concurrency=4,
        on_progress=progress.append,
    )
    results = [result async for result in batch]

    assert [(result.item_id, result.item_index) for result in results] == [(f"i{n}", n) for n in range(150)]
    assert results[0].response_or_raise().results[0].index == 1
    assert progress == [BatchProgress(100, 100, 0)]
    assert batch.summary is not None
    assert (batch.summary.items_received, batch.summary.usage.documents) == (150, 150)
    options = server.journal.batch_options[0]
    assert (options.defaults.top_n, options.ordered, options.max_concurrency) == (1, True, 4)


async def test_an_item_fails_alone(client: AsyncRerankClient) -> None:
    items: list[BatchItem] = [{"query": "fail", "documents": ["d"]}, {"query": "dune", "documents": ["d"]}]

    failed, answered = [result async for result in client.batch_rerank(items)]

    assert failed.response is None
    assert isinstance(failed.error, InvalidRequest)
    assert failed.error.fields[0].field == "top_n"
    with pytest.raises(InvalidRequest):
        failed.response_or_raise()
    assert answered.error is None


async def test_an_empty_batch_has_a_summary(client: AsyncRerankClient) -> None:
    batch = client.batch_rerank([])

    assert [result async for result in batch] == []
    assert batch.summary is not None
    assert batch.summary.items_received == 0


async def test_a_server_that_does_not_read_stops_the_source(client: AsyncRerankClient, server: FakeServer) -> None:
    source = Source(10_000)
    server.journal.may_read.clear()
    batch = client.batch_rerank(source, max_concurrency=5)
    first = asyncio.ensure_future(anext(batch))

    assert await settle(source, 10) == 10
    server.journal.may_read.set()
    assert (await first).item_index == 0
    await batch.aclose()


async def test_a_caller_who_does_not_read_stops_the_source(client: AsyncRerankClient) -> None:
    source = Source(10_000)
    async with client.batch_rerank(source, max_concurrency=5) as batch:
        for _ in range(20):
            await anext(batch)
        assert await settle(source, 30) == 30


async def test_leaving_early_ends_the_call(client: AsyncRerankClient, server: FakeServer) -> None:
    source = Source(10_000)
    async for _ in client.batch_rerank(source, max_concurrency=1):
        break
    gc.collect()

    taken = await settle(source, 1)
    assert taken < 10
    assert server.journal.items_read <= taken


async def test_an_error_of_the_source_comes_after_what_was_answered(client: AsyncRerankClient) -> None:
    def items() -> Iterator[BatchItem]:
        yield {"query": "dune", "documents": ["d"]}
        raise LookupError("gone")

    batch = client.batch_rerank(items())

    assert (await anext(batch)).item_index == 0
    with pytest.raises(LookupError, match="gone"):
        await anext(batch)


async def test_an_item_that_cannot_be_sent_ends_the_batch(client: AsyncRerankClient) -> None:
    batch = client.batch_rerank([{"query": "dune", "documents": "not a list"}])

    with pytest.raises(TypeError, match="list of documents"):
        await anext(batch)


async def test_a_broken_stream_raises(client: AsyncRerankClient) -> None:
    items: list[BatchItem] = [
        {"query": "dune", "documents": ["d"]},
        {"query": "fail stream", "documents": ["d"]},
    ]
    batch = client.batch_rerank(items)

    assert (await anext(batch)).error is None
    with pytest.raises(Unavailable, match="shutting down"):
        await anext(batch)


async def test_a_cancelled_task_leaves_nothing_behind(client: AsyncRerankClient, server: FakeServer) -> None:
    server.journal.may_read.clear()
    batch = client.batch_rerank(Source(10))
    task = asyncio.ensure_future(anext(batch))
    await asyncio.sleep(0.05)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [other for other in asyncio.all_tasks() if "_send" in repr(other)]


async def test_blocking_batch(server: FakeServer) -> None:
    progress: list[BatchProgress] = []

    def call() -> None:
        with RerankClient(server.address) as client:
            batch = client.batch_rerank(Source(150), on_progress=progress.append)
            results = list(batch)
            assert [result.item_index for result in results] == list(range(150))
            assert batch.summary is not None
            assert batch.summary.items_succeeded == 150

    await asyncio.to_thread(call)
    assert progress == [BatchProgress(100, 100, 0)]


async def test_blocking_batch_flow_control(server: FakeServer) -> None:
    source = Source(10_000)
    server.journal.may_read.clear()
    with RerankClient(server.address) as client:
        batch = client.batch_rerank(source, max_concurrency=5)
        first = asyncio.ensure_future(asyncio.to_thread(next, batch))
        assert await settle(source, 10) == 10
        server.journal.may_read.set()
        assert (await first).item_index == 0
        await settle(source, 11)
        await asyncio.to_thread(batch.close)
    assert source.taken <= 11


async def test_blocking_batch_errors(server: FakeServer) -> None:
    def broken_source() -> Iterator[BatchItem]:
        yield {"query": "dune", "documents": ["d"]}
        raise LookupError("gone")

    def call() -> None:
        with RerankClient(server.address, max_attempts=1) as client:
            batch = client.batch_rerank(broken_source())
            assert next(batch).item_index == 0
            with pytest.raises(LookupError, match="gone"):
                next(batch)
            with pytest.raises(Unavailable):
                list(client.batch_rerank([{"query": "fail stream", "documents": ["d"]}]))

    await asyncio.to_thread(call)
