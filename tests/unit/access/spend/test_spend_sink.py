"""The sink of spend over a real store: in a file that is there, is not there, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rerankd.access.spend.reports import SpendQuery, SpendRow
from rerankd.access.spend.settings import SpendSettings
from rerankd.access.spend.spend_sink import SpendSink
from rerankd.access.spend.spend_table import SpendTable
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.contract.call_context import CallContext, Caller
from rerankd.contract.messages import RerankRequest, RerankResponse, Usage
from rerankd.store.database import Database
from rerankd.store.migrating import open_store
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.metrics.instruments import metrics
from rerankd_adapters.base import ProviderReply
from tests.support.waiting import until

ALL = SpendQuery(first_day="1970-01-01", last_day="9999-12-31")


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(state_dir=str(tmp_path / "state"))


async def written(store: StoreSettings) -> list[SpendRow]:
    """Read what was written: one sum, or nothing."""
    database = Database(store)
    await open_store(database)
    rows = await SpendTable(database).report(ALL)
    await database.close()
    return rows


def errors() -> float:
    return metrics.registry.get_sample_value("rerankd_store_errors_total", {"what": "spend"}) or 0.0


@pytest.fixture
async def stored(store: StoreSettings) -> AsyncIterator[StoredSpend]:
    database = LazyDatabase(store)
    yield StoredSpend(database)
    await database.close()


def start(stored: StoredSpend, write_every_s: float = 3600) -> tuple[SpendSink, Recorder]:
    sink = SpendSink(SpendSettings(write_every_s=write_every_s), stored)
    sink.start()
    return sink, Recorder([sink])


def call(recorder: Recorder, key_id: str = "k") -> None:
    """Make one call that costs 25 cents."""
    record = recorder.begin(RerankRequest(model="m"), CallContext("r", caller=Caller(key_id=key_id)))
    with record.chunk(0, 1).attempt(("paid", "model", "paid/model"), 1, 1) as attempt:
        attempt.reply = ProviderReply(indices=[0], scores=[1.0], cost_usd=0.25)
    record.answered(RerankResponse(model="m", usage=Usage(documents=1)))
    recorder.flush()


async def test_sums_are_written_every_few_seconds(store: StoreSettings, stored: StoredSpend) -> None:
    sink, recorder = start(stored, 0.1)
    assert not store.sqlite_path().exists()
    call(recorder)
    await until(store.sqlite_path().exists)
    async with asyncio.timeout(30):
        while [each.calls for each in await written(store)] != [1]:
            await asyncio.sleep(0.02)
    await sink.close()


async def test_nothing_is_created_before_the_first_call(store: StoreSettings, stored: StoredSpend) -> None:
    sink, _ = start(stored)
    assert await sink.write()
    await sink.close()
    assert not store.sqlite_path().exists()


async def test_what_is_left_is_written_at_the_end(store: StoreSettings, stored: StoredSpend) -> None:
    sink, recorder = start(stored)
    call(recorder)
    call(recorder)
    await sink.close()
    (row,) = await written(store)
    assert (row.calls, row.cost_usd) == (2, 0.5)


async def test_processes_add_to_the_same_sums(store: StoreSettings, stored: StoredSpend) -> None:
    sinks = [start(stored) for _ in range(4)]
    for _ in range(3):
        for _, recorder in sinks:
            call(recorder)
        assert all(await asyncio.gather(*(sink.write() for sink, _ in sinks)))
    (row,) = await written(store)
    assert (row.calls, row.documents, row.cost_usd) == (12, 12, 3.0)
    for sink, _ in sinks:
        await sink.close()


async def test_while_the_store_is_away_sums_are_kept(tmp_path: Path, store: StoreSettings, stored: StoredSpend) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("no folder")
    before = errors()
    sink, recorder = start(stored)
    with capture_logs() as logged:
        for _ in range(3):
            call(recorder)
            assert not await sink.write()
        in_the_way.unlink()
        call(recorder)
        assert await sink.write()
    assert errors() - before == 3
    assert [line["event"] for line in logged] == [
        "spend cannot be written now, and is kept until it can be",
        "spend can be written again",
    ]
    (row,) = await written(store)
    assert (row.calls, row.cost_usd) == (4, 1.0)
    await sink.close()


async def test_what_cannot_be_written_at_the_end_is_said(tmp_path: Path, stored: StoredSpend) -> None:
    (tmp_path / "state").write_text("no folder")
    sink, recorder = start(stored)
    for _ in range(2):
        call(recorder)
    assert not await sink.write()
    call(recorder)
    with capture_logs() as logged:
        await sink.close()
    assert logged == [{"event": "spend is lost: the store cannot be used", "calls": 3, "log_level": "error"}]
