"""Brings a database to the version of this code, or says that somebody must."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from rerankd.store.database import Database
from rerankd.store.errors import StoreError

_FOLDER: Final = Path(__file__).with_name("migrations")


async def migrate(database: Database) -> tuple[str, str]:
    """Run the migrations that are missing, in one transaction; concurrent calls in any process wait for each other.

    Returns:
        Versions before and after; empty before the first migration.

    Raises:
        StoreError: The database cannot be used, or is newer than this code.
    """
    database.create_file()
    async with database.begin_exclusive() as connection:
        if not database.is_sqlite:  # an index over many runs takes its time; waits for locks stay bounded
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
        return await connection.run_sync(_upgrade, database.name)


async def open_store(database: Database) -> None:
    """Make a database usable: SQLite is migrated, PostgreSQL must have been by `rerankd migrate`.

    Raises:
        StoreError: The database cannot be used, or has another version than this code.
    """
    if database.is_sqlite:
        await migrate(database)
        return
    async with database.begin() as connection:
        found = await connection.run_sync(_version)
    wanted = latest_version()
    if found == wanted:
        return
    if not _is_known(found):
        raise _too_new(database.name, found)
    raise StoreError(f"the store {database.name} has version {found or 'none'}, not {wanted}; run `rerankd migrate`")


def latest_version() -> str:
    """Return the version of this code."""
    return ScriptDirectory(str(_FOLDER)).get_current_head() or ""


def _upgrade(connection: Connection, name: str) -> tuple[str, str]:
    before = _version(connection)
    if not _is_known(before):
        raise _too_new(name, before)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    command.upgrade(config, "head")
    return before, _version(connection)


def _version(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _is_known(version: str) -> bool:
    return not version or version in {script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()}


def _too_new(name: str, version: str) -> StoreError:
    return StoreError(
        f"the store {name} has version {version}, which this version of rerankd does not know; use the newer one"
    )
