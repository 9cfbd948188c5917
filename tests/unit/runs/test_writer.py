"""The queue of runs and the thread that stores them, with stores that fail on demand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rerankd.runs import writer as writer_module
from rerankd.runs.rows import RunRow
from rerankd.runs.run_log import RunLog
from rerankd.runs.run_queue import RunQueue
from rerankd.runs.run_store import RunStore
from rerankd.runs.settings import RunSettings
from rerankd.runs.writer import RunWriter
from rerankd.store.errors import StoreError
from rerankd.store.settings import StoreSettings
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.metrics.instruments import metrics
from tests.support.runs import ended_call
from tests.support.waiting import settle, until


class Rows:
    """A store in memory that can be away, or slow."""

    def __init__(self) -> None:
        self.rows: list[RunRow] = []
        self.batches: list[int] = []
        self.asked = 0
        self.retries: list[bool] = []
        self.away: Exception | None = None
        self.may_store = threading.Event()
        self.may_store.set()
        self.is_closed = False
        self.old = 0
        self.deleted_before = 0.0

    def open(self) -> Rows:
        return self

    def insert(self, rows: Sequence[RunRow], *, is_retry: bool = False) -> int:
        self.asked += 1
        self.may_store.wait(10)
        if self.away is not None:
            raise self.away
        self.rows += rows
        self.batches.append(len(rows))
        self.retries.append(is_retry)
        return 0

    def delete_before(self, started_at: float) -> int:
        deleted, self.old = min(self.old, 100), max(self.old - 100, 0)
        self.deleted_before = started_at
        return deleted

    def delete_beyond(self, _max_bytes: int) -> int:
        return 0

    def close(self) -> None:
        self.is_closed = True


def made(store: Rows, **settings: Any) -> tuple[RunQueue, RunWriter]:
    options = RunSettings(**settings)
    queue = RunQueue(options)
    return queue, RunWriter(options, queue, store.open)


def count(result: str) -> float:
    return metrics.registry.get_sample_value("rerankd_runs_total", {"result": result}) or 0.0


async def test_runs_share_a_transaction_and_closing_stores_what_waits() -> None:
    store = Rows()
    queue, writer = made(store)
    writer.start()
    before = count("stored")
    for _ in range(3):
        queue.offer([ended_call(), ended_call()])
    await asyncio.to_thread(writer.close)
    assert (store.batches, store.is_closed, len(queue)) == ([6], True, 0)
    assert count("stored") == before + 6
    writer.close()


async def test_waiting_ends_with_the_commit_of_ones_own_run() -> None:
    store = Rows()
    store.may_store.clear()
    queue, writer = made(store, durability="sync")
    writer.start()
    queue.offer([ended_call()])
    first = asyncio.create_task(queue.wait())
    await until(lambda: store.asked == 1)
    queue.offer([ended_call(), ended_call()])
    second = asyncio.create_task(queue.wait())
    await settle()
    assert not first.done()
    store.may_store.set()
    await first
    assert len(store.rows) >= 1
    await second
    assert (len(store.rows), store.batches) == (3, [1, 2]), "what came meanwhile is one commit"
    await queue.wait()
    await asyncio.to_thread(writer.close)


async def test_nobody_waits_longer_than_the_timeout_nor_for_a_store_that_fails() -> None:
    store = Rows()
    store.may_store.clear()
    queue, writer = made(store, durability="sync", sync_timeout_s=0.5)
    writer.start()
    before = count("late")
    queue.offer([ended_call()])
    await queue.wait()
    assert count("late") == before + 1
    began_s = time.monotonic()
    for _ in range(20):  # the others do not wait for a store that hangs
        await queue.wait()
    assert time.monotonic() - began_s < 5
    store.away = StoreError("the store is away")
    with capture_logs() as logged:
        store.may_store.set()
        await until(lambda: bool(logged))
        began_s = time.monotonic()
        for _ in range(20):
            queue.offer([ended_call()])
            await queue.wait()
        assert time.monotonic() - began_s < 5
    assert [line["problem"] for line in logged if line["log_level"] == "error"] == ["the store is away"]
    store.away = None
    await until(lambda: len(store.rows) == 21)
    assert store.retries[0], "a commit may have succeeded although it was not heard of"
    await queue.wait()
    await asyncio.to_thread(writer.close)


@pytest.mark.parametrize(("bound", "size"), [({"queue_size": 5}, 1), ({"queue_mb": 1}, 300_000)])
async def test_a_full_queue_loses_runs_counts_them_and_says_so_once(bound: dict[str, int], size: int) -> None:
    store = Rows()
    store.away = StoreError("away")
    queue, writer = made(store, capture="full", **bound)
    before = count("lost")
    with capture_logs() as logged:
        for _ in range(10):
            queue.offer([ended_call(documents=["x" * size, "y"])])
    taken = len(queue)
    assert 2 <= taken <= 5
    assert count("lost") == before + 10 - taken
    assert len([line for line in logged if "queue is full" in line["event"]]) == 1
    store.away = None
    writer.start()
    await until(lambda: len(store.rows) == taken)
    queue.offer([ended_call()])
    await asyncio.to_thread(writer.close)
    assert len(store.rows) == taken + 1


async def test_what_a_store_never_takes_is_lost_at_the_end_and_said() -> None:
    store = Rows()
    store.away = StoreError("away")
    queue, writer = made(store)
    writer.start()
    before = count("lost")
    with capture_logs() as logged:
        queue.offer([ended_call(), ended_call()])
        await asyncio.to_thread(writer.close)
    assert count("lost") == before + 2
    assert {"event": "runs were not stored before the process ended", "runs": 2, "log_level": "error"} in logged


async def test_texts_are_released_while_the_store_is_away() -> None:
    store = Rows()
    store.away = StoreError("away")
    queue, writer = made(store, queue_mb=1)
    writer.start()
    for _ in range(30):  # 9 MB of texts, cut to a few KB
        await until(lambda: queue.has_room)
        queue.offer([ended_call(documents=["x" * 300_000, "y"])])
    assert len(queue) == 30
    store.away = None
    await until(lambda: len(store.rows) == 30)
    await asyncio.to_thread(writer.close)


@pytest.mark.parametrize("documents", [["a", "b"], ["a", "b"] * 60])
async def test_a_run_that_cannot_be_written_down_is_lost_alone(documents: list[str]) -> None:
    store = Rows()
    queue, writer = made(store, durability="sync")
    broken, good = ended_call(documents=documents), ended_call(documents=documents)
    broken.attempts = [object()]  # type: ignore[list-item]  # wrong on purpose
    writer.start()
    with capture_logs() as logged:
        queue.offer([broken, good])
        await queue.wait()
        await until(lambda: len(store.rows) == 1)
    assert [line["event"] for line in logged] == ["a run cannot be written down; it is lost"]
    await asyncio.to_thread(writer.close)
    assert len(queue) == 0


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_old_runs_are_deleted_while_new_ones_are_stored(durability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "RETENTION_S", 0.01)
    store = Rows()
    store.old = 2000
    queue, writer = made(store, durability=durability, keep_days=2)
    writer.start()
    stored = 0
    while store.old:
        queue.offer([ended_call()])
        stored += 1
        await asyncio.sleep(0.02)
    await asyncio.to_thread(writer.close)
    assert len(store.rows) == stored
    assert abs(time.time() - 2 * 86_400 - store.deleted_before) < 30


async def test_no_file_and_no_thread_before_the_first_run(tmp_path: Path) -> None:
    store = StoreSettings(state_dir=str(tmp_path / "state"))
    log = RunLog(RunSettings(), store)
    recorder = Recorder()
    log.record(recorder)
    log.start()
    threads = threading.active_count()
    recorder.call_ended(ended_call(reranker=None))
    recorder.flush()
    assert not store.sqlite_path().exists()
    assert threading.active_count() == threads
    recorder.call_ended(ended_call())
    recorder.flush()
    await log.close()
    assert store.sqlite_path().exists()
    reopened = await asyncio.to_thread(RunStore, store)
    assert await asyncio.to_thread(reopened.delete_before, time.time() + 1) == 1
    reopened.close()


async def test_a_log_of_no_calls_keeps_nothing_of_records() -> None:
    recorder = Recorder()
    RunLog(RunSettings(calls="none"), StoreSettings()).record(recorder)
    assert not recorder.keeps_texts(ended_call())
    for durability in ("async", "sync"):
        recorder = Recorder()
        RunLog(RunSettings(durability=durability), StoreSettings()).record(recorder)
        assert recorder.keeps_texts(ended_call())
        assert not recorder.keeps_texts(ended_call(reranker=None))
        assert recorder.is_durable is (durability == "sync")
