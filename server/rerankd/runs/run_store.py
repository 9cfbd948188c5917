"""The writer's side of the run log: inserts runs, and deletes old ones a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import DataError, IntegrityError

from rerankd.runs.detail_blocks import BlockPacker
from rerankd.runs.rows import COLUMNS, RunRow
from rerankd.runs.run_id import AFTER_ALL, first_run_id
from rerankd.runs.tables import RUN_BLOCKS, RUN_LOG, RUNS
from rerankd.store.database import BlockingDatabase, Database
from rerankd.store.errors import StoreError
from rerankd.store.migrating import open_store
from rerankd.store.settings import StoreSettings

STEP_RUNS: Final = 100
"""Runs that one step of a deletion removes: some 10 ms, so that no other writer waits for long."""
_STATEMENT_ROWS: Final = 100
"""Rows of one of SQLite's statements: it gives the interpreter's lock back and takes it again for each."""
_c: Final = RUNS.c
_NAMES: Final = ", ".join(f'"{name}"' for name in COLUMNS)


class RunStore:
    """Writes runs. For one thread, without a running event loop; its creator closes it.

    Args:
        settings: Where the store is.
        is_durable: Whether a commit to SQLite outlives a power cut.

    Raises:
        StoreError: The store cannot be used, or has to be migrated.
    """

    def __init__(self, settings: StoreSettings, *, is_durable: bool = False) -> None:
        asyncio.run(_open(settings))
        self._database = BlockingDatabase(settings, is_durable=is_durable)
        # By hand: rows of dictionaries through SQLAlchemy cost 10 us each, as much as the database itself.
        mark = "?" if settings.is_sqlite else "%s"
        marks = f"({', '.join([mark] * len(COLUMNS))})"
        self._insert = f"INSERT INTO runs ({_NAMES}) VALUES {marks}"  # noqa: S608 - names and marks alone
        self._insert_many = ", ".join([self._insert, *[marks] * (_STATEMENT_ROWS - 1)])
        self._insert_block = f"INSERT INTO run_blocks (block_id, data) VALUES ({mark}, {mark})"  # noqa: S608 - marks alone
        self._takes_many = settings.is_sqlite  # psycopg sends all rows at once as they are
        self._packer = BlockPacker()

    def insert(self, rows: Sequence[RunRow], *, is_retry: bool = False) -> int:
        """Insert rows in one transaction.

        Args:
            rows: n rows, n >= 1.
            is_retry: Whether some may be stored already: a commit can succeed although its answer is lost.

        Returns:
            How many rows the database does not take, whatever is tried; they are left out.

        Raises:
            StoreError: The store cannot be used; nothing was inserted.
        """
        try:
            self._insert_all(rows, is_retry=is_retry)
        except StoreError as error:
            if not isinstance(error.__cause__, DataError | IntegrityError):
                raise
            if len(rows) == 1:
                return 1
            middle = len(rows) // 2
            return self.insert(rows[:middle], is_retry=is_retry) + self.insert(rows[middle:], is_retry=is_retry)
        return 0

    def delete_before(self, started_at: float) -> int:
        """Delete up to `STEP_RUNS` of the oldest runs that began before a time; return how many there were.

        Raises:
            StoreError: The store cannot be used; nothing was deleted.
        """
        with self._database.begin() as connection:
            return self._delete(connection, _c.run_id < first_run_id(started_at))

    def delete_beyond(self, max_bytes: int) -> int:
        """Delete up to `STEP_RUNS` of the oldest runs if all of them take more than `max_bytes`; return how many.

        Raises:
            StoreError: The store cannot be used; nothing was deleted.
        """
        with self._database.begin() as connection:
            held = connection.execute(select(RUN_LOG.c.bytes)).scalar_one()
            return self._delete(connection) if held > max_bytes else 0

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _insert_all(self, rows: Sequence[RunRow], *, is_retry: bool) -> None:
        with self._database.begin() as connection:
            if is_retry:
                known = select(_c.run_id).where(_c.run_id.in_([row.run_id for row in rows]))
                stored = set(connection.execute(known).scalars())
                rows = [row for row in rows if row.run_id not in stored]
                if not rows:
                    return
            packed = self._packer.pack(rows)
            if packed.blocks:
                connection.exec_driver_sql(self._insert_block, packed.blocks)
            self._insert_rows(connection, packed.rows)
            self._add_to_log(connection, len(rows), packed.size)

    def _insert_rows(self, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
        done = 0
        while self._takes_many and done + _STATEMENT_ROWS <= len(rows):
            values = chain.from_iterable(rows[done : done + _STATEMENT_ROWS])
            connection.exec_driver_sql(self._insert_many, tuple(values))
            done += _STATEMENT_ROWS
        if done < len(rows):
            connection.exec_driver_sql(self._insert, rows[done:])

    def _delete(self, connection: Connection, *rules: Any) -> int:
        oldest = select(_c.run_id).where(*rules).order_by(_c.run_id).limit(STEP_RUNS)
        deleted = connection.execute(delete(RUNS).where(_c.run_id.in_(oldest)).returning(_c.bytes)).scalars().all()
        if deleted:
            self._add_to_log(connection, -len(deleted), -sum(deleted))
            first = func.coalesce(select(func.min(_c.run_id)).scalar_subquery(), AFTER_ALL)
            connection.execute(delete(RUN_BLOCKS).where(RUN_BLOCKS.c.block_id < first))
        return len(deleted)

    def _add_to_log(self, connection: Connection, runs: int, size: int) -> None:
        log = RUN_LOG.c
        connection.execute(update(RUN_LOG).values(runs=log.runs + runs, bytes=log.bytes + size))


async def _open(settings: StoreSettings) -> None:
    database = Database(settings)
    try:
        await open_store(database)
    finally:
        await database.close()
