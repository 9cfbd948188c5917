"""What holds of the run log on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from rerankd.contract.reranker_messages import ListRunsRequest
from rerankd.runs import detail_blocks, run_reading, run_search, run_store
from rerankd.runs.rows import RunRow
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import pages_of
from rerankd.runs.run_reading import RunReading
from rerankd.runs.run_store import RunStore
from rerankd.runs.run_table import RunTable
from rerankd.runs.stored_runs import StoredRuns
from rerankd.runs.tables import RUN_BLOCKS, RUN_LOG, RUNS
from rerankd.store.database import Database
from rerankd.store.errors import StoreError
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from tests.support.runs import a_run, rows_of

NOW = 1_700_000_000.0


@pytest_asyncio.fixture
async def store(settings: StoreSettings, database: Database) -> AsyncIterator[RunStore]:
    """The writer's side of a migrated store."""
    opened = await asyncio.to_thread(RunStore, settings)
    yield opened
    opened.close()


async def insert(store: RunStore, rows: list[RunRow], *, is_retry: bool = False) -> int:
    return await asyncio.to_thread(store.insert, rows, is_retry=is_retry)


async def stored(database: Database) -> list[dict[str, Any]]:
    async with database.begin() as connection:
        return [dict(row) for row in (await connection.execute(select(RUNS).order_by(RUNS.c.run_id))).mappings()]


async def read(database: Database) -> list[Run]:
    """Return all runs with their details, the oldest first."""
    return (await RunTable(database).page(RunFilter(), 1000, with_details=True)).runs[::-1]


async def blocks(database: Database) -> int:
    async with database.begin() as connection:
        return (await connection.execute(select(func.count()).select_from(RUN_BLOCKS))).scalar_one()


async def held(database: Database) -> tuple[int, int]:
    async with database.begin() as connection:
        row = (await connection.execute(select(RUN_LOG.c.runs, RUN_LOG.c.bytes))).one()
        return row[0], row[1]


async def test_runs_come_back_as_they_were_logged(store: RunStore, database: Database) -> None:
    runs = [a_run(NOW + number, user="Zoë", cost_usd=0.1 * number or None) for number in range(3)]
    assert await insert(store, rows_of(runs)) == 0
    assert await read(database) == runs
    assert await RunTable(database).get(runs[1].run_id) == runs[1]
    assert await held(database) == (3, sum(row["bytes"] for row in await stored(database)))


async def test_details_that_are_stored_together_share_blocks(
    store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [a_run(NOW + number, user=f"{number}") for number in range(250)]
    monkeypatch.setattr(detail_blocks, "BLOCK_BYTES", 3 * len(rows_of(runs)[0].details))
    await insert(store, rows_of([runs[249], *runs[:249]]))
    rows = await stored(database)
    assert len({row["block_id"] for row in rows}) == 84
    assert [row["block_id"] for row in rows[:3]] == [runs[249].run_id, runs[249].run_id, runs[4].run_id]
    assert rows[248]["block_id"] == "", "the last one is alone"
    assert await read(database) == runs


async def test_blocks_go_with_the_last_of_their_runs(
    store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_store, "STEP_RUNS", 2)
    runs = [a_run(NOW + number) for number in range(6)]
    await insert(store, rows_of([runs[0], runs[3], runs[1]]))
    await insert(store, rows_of([runs[2], runs[4], runs[5]]))
    seen = []
    for _ in range(4):
        seen.append((len(await read(database)), await blocks(database)))
        await asyncio.to_thread(store.delete_before, NOW + 6)
    assert seen == [(6, 2), (4, 2), (2, 1), (0, 0)]


async def test_a_retry_stores_nothing_twice(store: RunStore, database: Database) -> None:
    rows = rows_of([a_run(NOW + number) for number in range(4)])
    await insert(store, rows[:2])
    assert await insert(store, rows, is_retry=True) == 0
    assert await insert(store, rows, is_retry=True) == 0
    assert len(await stored(database)) == 4
    assert (await held(database))[0] == 4


async def test_a_row_that_no_database_takes_is_left_out_alone(store: RunStore, database: Database) -> None:
    rows = rows_of([a_run(NOW + number) for number in range(5)])
    rows[3] = rows[1]
    assert await insert(store, rows) == 1
    assert len(await stored(database)) == 4


async def test_of_many_rows_all_are_stored_but_what_no_database_takes(store: RunStore, database: Database) -> None:
    runs = [a_run(NOW + number, user=f"{number}") for number in range(150)]
    rows = rows_of(runs)
    assert await insert(store, [*rows[:100], rows[5], *rows[100:]]) == 1
    assert await read(database) == runs
    assert await held(database) == (150, sum(row["bytes"] for row in await stored(database)))


async def test_writers_of_several_processes_add_up(settings: StoreSettings, database: Database) -> None:
    stores = [await asyncio.to_thread(RunStore, settings) for _ in range(4)]

    async def write(store: RunStore) -> None:
        for each in range(10):
            await insert(store, rows_of([a_run(NOW + each) for _ in range(3)]))

    await asyncio.gather(*map(write, stores))
    rows = await stored(database)
    assert len(rows) == 120
    assert await held(database) == (120, sum(row["bytes"] for row in rows))
    for store in stores:
        store.close()


async def test_old_runs_are_deleted_a_few_at_a_time(
    store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_store, "STEP_RUNS", 2)
    await insert(store, rows_of([a_run(NOW + number) for number in range(6)]))
    steps = [await asyncio.to_thread(store.delete_before, NOW + 3.0) for _ in range(3)]
    assert steps == [2, 1, 0]
    left = await stored(database)
    assert [row["started_at"] - NOW for row in left] == [3, 4, 5]
    assert await held(database) == (3, sum(row["bytes"] for row in left))


async def test_the_oldest_runs_beyond_the_size_are_deleted(
    store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_store, "STEP_RUNS", 2)
    rows = rows_of([a_run(NOW + number) for number in range(6)])
    await insert(store, rows)
    most = sum(row["bytes"] for row in (await stored(database))[3:])
    steps = [await asyncio.to_thread(store.delete_beyond, most) for _ in range(3)]
    assert steps == [2, 2, 0], "whole steps"
    assert [row["started_at"] - NOW for row in await stored(database)] == [4, 5]


async def test_a_store_that_is_not_migrated_is_said(settings: StoreSettings) -> None:
    if settings.is_sqlite:
        store = await asyncio.to_thread(RunStore, settings)
        assert await insert(store, rows_of([a_run(NOW)])) == 0
        store.close()
    else:
        with pytest.raises(StoreError, match="run `rerankd migrate`"):
            await asyncio.to_thread(RunStore, settings)


FILTERED: dict[str, dict[str, Any]] = {
    "a": {"status": "error", "reason": "PROVIDER_UNAVAILABLE", "latency_ms": 1900.0},
    "b": {"model": "local/bm25", "reranker": "", "source": "api", "request_id": "req-7"},
    "c": {"key_id": "key_1", "user": "Zoë", "latency_ms": 40.0},
    "d": {"replay_of": "r", "experiment_id": "e", "source": "replay", "reranker": "other"},
    "e": {"status": "error", "reason": "INTERNAL", "key_id": "key_1", "model": "local/bm25", "reranker": ""},
}
"""Runs a second after each other, by what their caller is named."""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "edcba"),
        ({"started_from": NOW + 1, "started_to": NOW + 3}, "cb"),
        ({"status": "ok"}, "dcb"),
        ({"status": "error"}, "ea"),
        ({"reason": "INTERNAL"}, "e"),
        ({"model": "local/bm25"}, "eb"),
        ({"reranker": "support"}, "ca"),
        ({"key_id": "key_1"}, "ec"),
        ({"user": "Zoë"}, "c"),
        ({"source": "api"}, "b"),
        ({"request_id": "req-7"}, "b"),
        ({"replay_of": "r"}, "d"),
        ({"experiment_id": "e"}, "d"),
        ({"min_latency_ms": 40.0}, "ca"),
        ({"min_latency_ms": 1000.0}, "a"),
        ({"min_latency_ms": 1500.0, "reranker": "support", "max_latency_ms": 1900.0}, "a"),
        ({"min_latency_ms": 2000.0}, ""),
        ({"max_latency_ms": 5.0}, "edb"),
        ({"min_latency_ms": 40.0, "max_latency_ms": 40.0}, "c"),
        ({"min_latency_ms": 6.0, "status": "error"}, "a"),
        ({"key_id": "key_1", "status": "error", "model": "local/bm25"}, "e"),
        ({"status": "error", "reranker": "support"}, "a"),
        ({"status": "ok", "source": "api"}, "b"),
        ({"model": "local/bm25", "source": "grpc", "max_latency_ms": 900.0}, "e"),
        ({"key_id": "key_1", "user": "Zoë", "status": "ok", "started_from": NOW + 2}, "c"),
        ({"request_id": "req-7", "model": "local/bm25", "started_to": NOW + 1}, ""),
        ({"reason": "INTERNAL", "status": "ok"}, ""),
        ({"key_id": "other"}, ""),
    ],
)
async def test_filters_and_the_newest_first(
    wanted: dict[str, Any], found: str, store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [a_run(NOW + at, caller=name, **fields) for at, (name, fields) in enumerate(FILTERED.items())]
    await insert(store, rows_of(runs))
    table, conditions = RunTable(database), RunFilter(**wanted)
    for scanned in (5000, 2, 1):
        monkeypatch.setattr(run_search, "SCANNED", scanned)
        pages = [page async for page in pages_of(table, conditions, 10)]
        assert "".join(run.caller for page in pages for run in page) == found
        assert all(run.details is None for page in pages for run in page)
        assert await table.count(conditions, 10) == len(found)


async def test_pages_are_short_where_conditions_seldom_meet(
    store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_search, "SCANNED", 3)
    runs = [a_run(NOW + at, user="a", source="api" if at in (0, 7) else "grpc") for at in range(8)]
    others = [a_run(NOW - at, user="b", source="api") for at in range(1, 5)]
    await insert(store, rows_of([*runs, *others]))
    table, seen, before = RunTable(database), [], ""
    for _ in range(3):
        page = await table.page(RunFilter(user="a", source="api"), 5, before)
        before = page.next_before
        seen.append(([round(run.started_at - NOW) for run in page.runs], before))
    assert seen == [([7], runs[5].run_id), ([], runs[2].run_id), ([0], "")]
    page = await table.page(RunFilter(user="a"), 5)
    assert ([run.run_id for run in page.runs], page.next_before) == (
        [run.run_id for run in reversed(runs[3:])],
        runs[3].run_id,
    ), "what the index knows is not bounded"


@pytest.mark.parametrize("scanned", [5000, 3])
@pytest.mark.parametrize("page_size", [1, 2, 4])
async def test_lists_of_what_may_be_seen_go_on_to_the_end(
    scanned: int, page_size: int, store: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_search, "SCANNED", scanned)
    monkeypatch.setattr(run_reading, "_MAX_PAGE", 4)
    runs = [a_run(NOW + at, user="a", source="api", reranker=("mine", "other")[at % 2]) for at in range(8)]
    await insert(store, rows_of(runs))
    reading, seen = RunReading(RunTable(database)), list[str]()
    request = ListRunsRequest(user="a", source="api", page_size=page_size)
    for _ in range(9):
        answer = await reading.list(request, lambda run: run.asked == "mine")
        assert len(answer.runs) <= page_size
        seen += [run.run_id for run in answer.runs]
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    assert seen == [run.run_id for run in reversed(runs) if run.reranker == "mine"]


async def test_pages_follow_each_other_while_runs_are_logged(store: RunStore, database: Database) -> None:
    runs = [a_run(NOW + number // 3, caller=str(number)) for number in range(10)]
    await insert(store, rows_of(runs))
    table, seen = RunTable(database), list[Run]()
    async for page in pages_of(table, RunFilter(), 4, with_details=True):
        seen += page
        await insert(store, rows_of([a_run(NOW + 100)]))
    assert seen == sorted(runs, key=lambda run: run.run_id, reverse=True)
    assert await table.get(runs[3].run_id) == runs[3]
    assert await table.get("unknown") is None


async def test_runs_that_are_still_there_are_known(store: RunStore, database: Database) -> None:
    runs = [a_run(NOW + number) for number in range(3)]
    await insert(store, rows_of(runs))
    await asyncio.to_thread(store.delete_before, NOW + 1.0)
    ids = [run.run_id for run in runs]
    assert await RunTable(database).known([*ids, "unknown"]) == {*ids[1:]}
    assert await RunTable(database).known([]) == set()


async def test_reading_a_store_that_is_not_there_creates_none(tmp_path: Path) -> None:
    settings = StoreSettings(state_dir=str(tmp_path / "none"))
    opened = StoredRuns(LazyDatabase(settings))
    assert (await opened.page(RunFilter(), 5), await opened.get("a")) == (([], ""), None)
    assert list(await opened.known(["a"])) == []
    assert await opened.count(RunFilter(), 5) == 0
    assert not settings.sqlite_path().exists()
