"""What holds of the store on both databases."""

from __future__ import annotations

import asyncio
import gc
import os
import traceback
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import Connection, text

from rerankd.access.api_key import ApiKey, KeyDetails, new_id
from rerankd.access.key_table import API_KEYS, KeyTable
from rerankd.access.sessions.ended_table import ENDED_SESSIONS
from rerankd.access.spend.spend_table import SPEND
from rerankd.evaluation.experiment_table import EXPERIMENTS
from rerankd.evaluation.judgements.table import JUDGEMENTS
from rerankd.registry.reranker_table import RERANKERS
from rerankd.runs.tables import RUNS
from rerankd.store.database import METADATA, Database
from rerankd.store.errors import StoreError
from rerankd.store.migrating import latest_version, migrate, open_store
from rerankd.store.settings import StoreSettings
from tests.support.canary import CANARY_SECRET
from tests.support.engines import Clock


def key(number: int, **more: object) -> ApiKey:
    details = KeyDetails(name=f"key {number}", tags=("a", "b"), models=("cohere/*",), group="g")
    made = ApiKey(id=new_id(), digest=f"{number:064x}", hint="...abcd", details=details, created_at=1.5)
    return replace(made, **more)


async def test_migrating_is_idempotent_and_makes_what_the_tables_declare(empty: Database) -> None:
    assert await migrate(empty) == ("", latest_version())
    assert await migrate(empty) == (latest_version(), latest_version())

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    tables = (API_KEYS, ENDED_SESSIONS, EXPERIMENTS, JUDGEMENTS, RERANKERS, RUNS, SPEND)
    assert {table.metadata for table in tables} == {METADATA}
    async with empty.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_processes_that_migrate_at_once_wait_for_each_other(settings: StoreSettings) -> None:
    databases = [Database(settings) for _ in range(6)]
    outcomes = await asyncio.gather(*(migrate(each) for each in databases))
    assert sorted(outcomes) == [("", latest_version()), *[(latest_version(), latest_version())] * 5]
    for each in databases:
        await each.close()


async def test_only_sqlite_is_migrated_by_opening_it(empty: Database) -> None:
    if not empty.is_sqlite:
        with pytest.raises(StoreError, match="run `rerankd migrate`") as refused:
            await open_store(empty)
        assert CANARY_SECRET not in str(refused.value)
        await migrate(empty)
    await open_store(empty)
    assert await KeyTable(empty).changed_since(0) == (0, [])


async def test_a_store_of_a_newer_version_is_refused(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (open_store, migrate):
        with pytest.raises(StoreError, match="version 9999, which this version of rerankd does not know"):
            await use(database)


async def test_a_migration_that_has_to_wait_for_a_lock_says_so(database: Database, settings: StoreSettings) -> None:
    impatient = Database(replace(settings, timeout_s=0.1))
    async with database.begin_exclusive():
        with pytest.raises(StoreError, match="another transaction held what it needs"):
            await migrate(impatient)
    await impatient.close()


async def test_a_migration_may_take_longer_than_other_statements(empty: Database, settings: StoreSettings) -> None:
    if empty.is_sqlite:
        pytest.skip("SQLite has no timeout of statements")
    slow = "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); END'"
    trigger = "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('DROP INDEX') EXECUTE FUNCTION slow()"
    async with empty.begin() as connection:
        for statement in (slow, trigger):
            await connection.execute(text(statement))
    hasty = Database(replace(settings, timeout_s=0.1))  # statements end after 0.4 s
    try:
        assert await migrate(hasty) == ("", latest_version())
    finally:
        await hasty.close()
        async with empty.begin() as connection:
            await connection.execute(text("DROP EVENT TRIGGER slow"))


async def test_a_key_comes_back_as_it_was_added(database: Database) -> None:
    table = KeyTable(database)
    given = [key(1), key(2, expires_at=2e9), key(3, details=KeyDetails(owner="Zoë"))]
    assert await table.add(given) == []
    assert [await table.get(each.id) for each in given] == given
    assert await table.get("key_unknown") is None


async def test_known_keys_are_added_all_or_none(database: Database) -> None:
    table = KeyTable(database)
    first, second = key(1), key(2)
    await table.add([first])
    await table.rotate(first.id, f"{7:064x}", "...", 60)
    for digest in (f"{1:064x}", f"{7:064x}"):
        again = key(9, digest=digest)
        assert await table.add([second, again]) == [again.id]
    assert await table.get(second.id) is None
    assert await table.add([]) == []


async def test_pages_go_in_the_order_of_ids_without_revoked_ones(database: Database) -> None:
    table = KeyTable(database)
    keys = sorted((key(number) for number in range(5)), key=lambda each: each.id)
    await table.add(keys)
    await table.revoke(keys[1].id)
    assert await table.page("", 3) == [keys[0], keys[2], keys[3]]
    assert await table.page(keys[3].id, 3) == [keys[4]]
    assert [each.id for each in await table.page("", 9, with_revoked=True)] == [each.id for each in keys]


async def test_rotating_keeps_the_old_secret_for_a_while(database: Database) -> None:
    clock = Clock()
    table = KeyTable(database, clock)
    given = key(1)
    await table.add([given])
    rotated = await table.rotate(given.id, f"{2:064x}", "...wxyz", 60.0)
    assert rotated is not None
    assert (rotated.digest, rotated.hint) == (f"{2:064x}", "...wxyz")
    assert (rotated.old_digest, rotated.old_expires_at) == (given.digest, clock.now_s + 60)
    await table.revoke(given.id)
    assert await table.rotate(given.id, f"{3:064x}", "", 60.0) is None
    assert await table.rotate("key_unknown", f"{3:064x}", "", 60.0) is None


async def test_revoking_is_for_good(database: Database) -> None:
    clock = Clock()
    table = KeyTable(database, clock)
    given = key(1)
    await table.add([given])
    revoked = await table.revoke(given.id)
    assert revoked == replace(given, revoked_at=clock.now_s)
    clock.now_s += 5
    assert await table.revoke(given.id) == revoked
    assert await table.revoke("key_unknown") is None


async def test_readers_miss_no_change_of_concurrent_writers(settings: StoreSettings, database: Database) -> None:
    writers = [Database(settings) for _ in range(4)]
    seen: dict[str, float | None] = {}
    last = 0

    async def write(number: int, to: Database) -> None:
        for each in range(5):
            made = key(number * 10 + each)
            await KeyTable(to).add([made])
            await KeyTable(to).revoke(made.id)

    writing = asyncio.gather(*(write(number, each) for number, each in enumerate(writers)))
    is_over = False
    while not is_over:
        is_over = writing.done()
        last, changed = await KeyTable(database).changed_since(last)
        seen |= {each.id: each.revoked_at for each in changed}
        await asyncio.sleep(0)
    await writing
    assert len(seen) == 20
    assert all(seen.values())
    assert await KeyTable(database).changed_since(last) == (last, [])
    for each in writers:
        await each.close()


async def test_a_cancelled_transaction_holds_no_lock(settings: StoreSettings, empty: Database) -> None:
    """As of a caller that goes away, at every moment, while something still refers to the error."""
    await migrate(empty)
    database = Database(replace(settings, timeout_s=0.5))

    async def write() -> None:
        async with database.begin() as connection:
            for _ in range(3):
                await connection.execute(text("UPDATE run_log SET runs = runs + 1 RETURNING runs"))

    errors: list[object] = []
    gc.disable()
    try:
        for number in range(120):
            writing = asyncio.create_task(write())
            await asyncio.sleep(number % 40 * 0.00005)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            writing.cancel()
            errors += await asyncio.gather(writing, return_exceptions=True)
            async with database.begin_exclusive() as connection:
                await connection.execute(text("UPDATE run_log SET runs = 0"))
    finally:
        gc.enable()
        await database.close()
    assert any(isinstance(each, asyncio.CancelledError) for each in errors)


def test_the_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    async def use() -> list[Path]:
        database = Database(StoreSettings(state_dir=str(tmp_path / "state")))
        await migrate(database)
        await KeyTable(database).add([key(1)])
        found = [tmp_path / "state", *(tmp_path / "state").iterdir()]
        assert all(path.stat().st_mode & 0o077 == 0 for path in found)
        await database.close()
        return found

    previous = os.umask(0)
    try:
        assert {path.name for path in asyncio.run(use())} >= {"state", "rerankd.db", "rerankd.db-wal"}
    finally:
        os.umask(previous)


async def test_no_message_of_the_database_quotes_a_value(database: Database) -> None:
    table = KeyTable(database)
    given = key(1, digest=f"digest-{CANARY_SECRET}", hint=f"hint-{CANARY_SECRET}")
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys DROP COLUMN hint"))
    with pytest.raises(StoreError) as refused:
        await table.add([given])
    assert CANARY_SECRET not in "".join(traceback.format_exception(refused.value))
