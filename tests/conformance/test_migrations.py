"""What becomes of logged runs when migrations are undone and made again, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, inspect, select, text

from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_store import RunStore
from rerankd.runs.run_table import RunTable
from rerankd.runs.tables import RUN_BLOCKS
from rerankd.store import migrating
from rerankd.store.database import Database
from rerankd.store.migrating import latest_version, migrate
from rerankd.store.settings import StoreSettings
from tests.support.runs import a_run, rows_of

NOW: Final = 1_700_000_000.0
FOLDER: Final = Path(migrating.__file__).with_name("migrations")


async def downgrade(database: Database, version: str) -> None:
    """Undo the migrations above a version."""

    def undo(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(FOLDER))
        command.downgrade(config, version)

    async with database.begin_exclusive() as connection:
        await connection.run_sync(undo)


async def insert(settings: StoreSettings, *batches: list[Run]) -> None:
    """Store runs, those of a batch together."""

    def store() -> None:
        opened = RunStore(settings)
        for batch in batches:
            assert opened.insert(rows_of(batch)) == 0
        opened.close()

    await asyncio.to_thread(store)


async def read(database: Database, wanted: RunFilter | None = None) -> list[Run]:
    """Return runs with their details, the oldest first."""
    page = await RunTable(database).page(wanted or RunFilter(), 1000, with_details=True)
    return page.runs[::-1]


async def totals(database: Database) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return number and bytes of runs, as they are counted and as the rows say."""
    async with database.begin() as connection:
        counted = (await connection.execute(text("SELECT runs, bytes FROM run_log"))).one()
        found = (await connection.execute(text("SELECT count(*), coalesce(sum(bytes), 0) FROM runs"))).one()
    return (counted[0], counted[1]), (found[0], found[1])


@pytest_asyncio.fixture
async def runs(settings: StoreSettings, database: Database) -> AsyncIterator[list[Run]]:
    """Six runs, the oldest first: five with their details in two blocks, and the second, which was stored alone."""
    made = [a_run(NOW + at, user=f"{at}", status="error" if at in (1, 3) else "ok") for at in range(6)]
    await insert(settings, [made[0], made[2]], [made[1]], made[3:])
    yield made


async def test_runs_outlive_the_indexes_of_failed_and_slow_ones(
    runs: list[Run], settings: StoreSettings, database: Database
) -> None:
    def columns(connection: Connection) -> list[str | None]:
        indexes = inspect(connection).get_indexes("runs")
        return next(index["column_names"] for index in indexes if index["name"] == "ix_runs_errors")

    await downgrade(database, "0010")
    assert await read(database) == runs
    assert await migrate(database) == ("0010", latest_version())
    assert await read(database) == runs

    await downgrade(database, "0009")
    async with database.begin() as connection:
        assert await connection.run_sync(columns) == ["run_id"]
    assert await read(database) == runs
    assert await migrate(database) == ("0009", latest_version())
    async with database.begin() as connection:
        assert await connection.run_sync(columns) == ["run_id", "latency_ms", "reranker", "model", "reason"]
    assert await read(database) == runs
    assert await read(database, RunFilter(status="error")) == [runs[1], runs[3]]
    later = a_run(NOW + 9)
    await insert(settings, [later])
    assert await read(database) == [*runs, later]


async def test_runs_whose_details_are_in_blocks_are_lost_without_blocks(
    runs: list[Run], settings: StoreSettings, database: Database
) -> None:
    await downgrade(database, "0008")
    counted, found = await totals(database)
    assert counted == found
    assert counted[0] == 1
    async with database.begin() as connection:
        tables, columns = await connection.run_sync(
            lambda used: (inspect(used).get_table_names(), [each["name"] for each in inspect(used).get_columns("runs")])
        )
    assert "run_blocks" not in tables
    assert "block_id" not in columns

    assert await migrate(database) == ("0008", latest_version())
    assert await read(database) == [runs[1]]
    assert await RunTable(database).get(runs[1].run_id) == runs[1]
    assert await RunTable(database).get(runs[0].run_id) is None
    later = [a_run(NOW + at) for at in (10, 11)]
    await insert(settings, later)
    assert await read(database) == [runs[1], *later]
    async with database.begin() as connection:
        assert (await connection.execute(select(func.count()).select_from(RUN_BLOCKS))).scalar_one() == 1
    counted, found = await totals(database)
    assert counted == found


async def test_every_migration_can_be_undone(database: Database) -> None:
    await downgrade(database, "base")
    async with database.begin() as connection:
        assert set(await connection.run_sync(lambda used: inspect(used).get_table_names())) <= {"alembic_version"}
    assert await migrate(database) == ("", latest_version())
