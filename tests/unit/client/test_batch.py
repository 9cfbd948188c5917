"""Batches: outcomes, flow control, and what happens when somebody stops."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from rerankd_client import (
    AsyncRerankClient,
    BatchItem,
    BatchProgress,
    Cancelled,
    InvalidRequest,
    RerankClient,
    Unavailable,
)
from tests.support.waiting import until

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
    source = Source(10)
    batch = client.batch_rerank(source)
    task = asyncio.ensure_future(anext(batch))
    await until(lambda: source.taken)
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


def breaking_source(count: int) -> Iterator[BatchItem]:
    for number in range(count):
        query = "break" if number % 50 == 20 else "dune"
        yield {"item_id": f"i{number}", "query": query, "documents": ["sea", "dune"]}


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_broken_stream_is_resumed(server: FakeServer, ordered: bool) -> None:
    server.journal.breaks_left = 3
    async with AsyncRerankClient(server.address, max_attempts=1) as client:
        batch = client.batch_rerank(breaking_source(200), ordered=ordered)
        results = [(result.item_id, result.item_index, result.error) async for result in batch]

    assert results == [(f"i{number}", number, None) for number in range(200)]
    assert batch.summary is not None
    assert (batch.summary.items_succeeded, batch.summary.resumes) == (200, 3)
    # The server's summary counts a document an item; of the 20 before the first break, those answered had two each.
    assert 200 < batch.summary.usage.documents <= 220
    assert len(server.journal.batch_options) == 4


async def test_an_asynchronous_source_survives_resumes(server: FakeServer) -> None:
    server.journal.breaks_left = 2

    async def items() -> AsyncIterator[BatchItem]:
        for item in breaking_source(120):
            await asyncio.sleep(0)
            yield item

    async with AsyncRerankClient(server.address, max_attempts=1) as client:
        results = [result.item_index async for result in client.batch_rerank(items(), max_concurrency=1)]
    assert results == list(range(120))


async def test_blocking_batch_is_resumed(server: FakeServer) -> None:
    server.journal.breaks_left = 3

    def call() -> None:
        with RerankClient(server.address, max_attempts=1) as client:
            batch = client.batch_rerank(breaking_source(200), max_concurrency=1)
            assert [result.item_index for result in batch] == list(range(200))
            assert batch.summary is not None
            assert batch.summary.resumes == 3

    await asyncio.to_thread(call)


async def test_blocking_source_that_waits_when_the_stream_breaks(server: FakeServer) -> None:
    server.journal.breaks_left = 1
    may_go_on = threading.Event()

    def items() -> Iterator[BatchItem]:
        yield {"query": "dune", "documents": ["d"]}
        yield {"query": "break", "documents": ["d"]}
        may_go_on.wait(30)
        yield {"query": "dune", "documents": ["d"]}

    def call() -> None:
        with RerankClient(server.address, max_attempts=1) as client:
            batch = client.batch_rerank(items(), max_concurrency=1)
            # The second one is answered by the second stream, while the first one's thread waits in the source.
            assert [next(batch).item_index for _ in range(2)] == [0, 1]
            may_go_on.set()
            assert [result.item_index for result in batch] == [2]

    await asyncio.to_thread(call)
    assert len(server.journal.batch_options) == 2


async def test_a_stream_that_breaks_for_good_raises(server: FakeServer) -> None:
    server.journal.breaks_left = 100
    async with AsyncRerankClient(server.address, max_attempts=1) as client:
        with pytest.raises(Unavailable, match="Socket closed"):
            await anext(client.batch_rerank([{"query": "break", "documents": ["d"]}]))
        assert server.journal.breaks_left == 97
        with pytest.raises(Unavailable, match="Socket closed"):
            await anext(client.batch_rerank([{"query": "break", "documents": ["d"]}], max_resumes=0))
    assert server.journal.breaks_left == 96


async def test_closing_the_client_ends_its_batches(server: FakeServer) -> None:
    def call() -> None:
        client = RerankClient(server.address)
        batch = client.batch_rerank(Source(1000))
        next(batch)
        client.close()
        with pytest.raises(Cancelled):
            list(batch)

    await asyncio.to_thread(call)
