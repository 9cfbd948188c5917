"""Stored rerankers, their versions and totals in the store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Integer,
    RowMapping,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.registry.stored_reranker import CallTotals, RerankerContent, RerankerVersion, StoredReranker
from rerankd.store.changes import last_change, next_change
from rerankd.store.database import METADATA, Database

COUNTER: Final = "rerankers"
"""The change counter of these tables."""
RERANKERS: Final = Table(
    "rerankers",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("content", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("change", BigInteger, nullable=False),
)
VERSIONS: Final = Table(
    "reranker_versions",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("author", Text, nullable=False),
    Column("origin", Text, nullable=False),
)
TOTALS: Final = Table(
    "reranker_totals",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("last_used_at", Double, nullable=False),
)


class Changing:
    """One transaction that changes rerankers; no other one runs beside it.

    Args:
        connection: Of the transaction.
        change: Number of this change.
        rerankers: All stored ones by key, as they are now, without totals.
        now_s: Seconds since 1970.
    """

    def __init__(
        self, connection: AsyncConnection, change: int, rerankers: Mapping[str, StoredReranker], now_s: float
    ) -> None:
        self._connection = connection
        self.change = change
        self.rerankers = rerankers
        self.now_s = now_s

    async def put(self, reranker: StoredReranker, author: str, origin: str, kept_versions: int) -> None:
        """Insert or update a reranker, and keep its version."""
        row = {
            "content": msgspec.to_builtins(reranker.content),
            "version": reranker.version,
            "created_at": reranker.created_at,
            "updated_at": reranker.updated_at,
            "change": reranker.change,
        }
        if reranker.key in self.rerankers:
            await self._connection.execute(update(RERANKERS).where(RERANKERS.c.key == reranker.key).values(row))
        else:
            await self._connection.execute(insert(RERANKERS).values(key=reranker.key, **row))
        version = {
            "key": reranker.key,
            "version": reranker.version,
            "content": row["content"],
            "created_at": reranker.updated_at,
            "author": author,
            "origin": origin,
        }
        await self._connection.execute(insert(VERSIONS).values(version))
        old = (VERSIONS.c.key == reranker.key) & (VERSIONS.c.version <= reranker.version - kept_versions)
        await self._connection.execute(delete(VERSIONS).where(old))

    async def version(self, key: str, version: int) -> RerankerVersion | None:
        """Return a version that is kept; None where there is none."""
        return await _version(self._connection, key, version)

    async def remove(self, key: str) -> None:
        """Delete a reranker with its versions and totals."""
        for table in (RERANKERS, VERSIONS, TOTALS):
            await self._connection.execute(delete(table).where(table.c.key == key))


class RerankerTable:
    """Reads and changes stored rerankers. Task-safe; every method is one transaction and raises `StoreError`.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def read_if_changed(self, change: int) -> tuple[int, Sequence[StoredReranker] | None]:
        """Return the number of the last change, and all rerankers by key unless that is `change`."""
        async with self._database.begin() as connection:
            last = await last_change(connection, COUNTER)
            return last, None if last == change else await _all(connection)

    async def all(self) -> list[StoredReranker]:
        """Return all rerankers ordered by key, without totals."""
        async with self._database.begin() as connection:
            return await _all(connection)

    async def get(self, key: str) -> StoredReranker | None:
        """Return a reranker without its totals; None where there is none."""
        async with self._database.begin() as connection:
            row = (await connection.execute(select(RERANKERS).where(RERANKERS.c.key == key))).mappings().one_or_none()
            return None if row is None else _reranker_of(row)

    async def totals(self, keys: Sequence[str]) -> dict[str, CallTotals]:
        """Return the totals of these rerankers, without those never used."""
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(TOTALS).where(TOTALS.c.key.in_(keys)))).mappings()
            return {row["key"]: CallTotals(**{name: row[name] for name in row if name != "key"}) for row in rows}

    async def versions(self, key: str, before: int | None, size: int) -> list[RerankerVersion]:
        """Return up to `size` versions, the newest first, the first one older than `before`."""
        statement = select(VERSIONS).where(VERSIONS.c.key == key).order_by(VERSIONS.c.version.desc()).limit(size)
        if before is not None:
            statement = statement.where(VERSIONS.c.version < before)
        async with self._database.begin() as connection:
            return [_version_of(row) for row in (await connection.execute(statement)).mappings()]

    async def version(self, key: str, version: int) -> RerankerVersion | None:
        """Return a version that is kept; None where there is none."""
        async with self._database.begin() as connection:
            return await _version(connection, key, version)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Changing]:
        """Begin a change; it is undone when its body raises."""
        async with self._database.begin() as connection:
            change = await next_change(connection, COUNTER)
            rerankers = {each.key: each for each in await _all(connection)}
            yield Changing(connection, change, rerankers, self._clock())

    async def add_totals(self, added: Mapping[str, CallTotals]) -> None:
        """Add to totals, of whatever processes at once. `last_used_at` becomes the later one."""
        values: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in TOTALS.c}
        is_sqlite, had = self._database.is_sqlite, TOTALS.c
        statement = sqlite.insert(TOTALS).values(values) if is_sqlite else postgresql.insert(TOTALS).values(values)
        given = statement.excluded
        greatest = func.max if is_sqlite else func.greatest
        sums: dict[str, Any] = {name: had[name] + given[name] for name in ("runs", "failures", "latency_ms")}
        sums["last_used_at"] = greatest(had.last_used_at, given.last_used_at)
        statement = statement.on_conflict_do_update(index_elements=["key"], set_=sums)
        rows = [_totals_row(key, added[key]) for key in sorted(added)]  # one order, so that no two wait for each other
        async with self._database.begin() as connection:
            await connection.execute(statement, rows)


def _totals_row(key: str, totals: CallTotals) -> dict[str, object]:
    return {
        "new_key": key,
        "new_runs": totals.runs,
        "new_failures": totals.failures,
        "new_latency_ms": totals.latency_ms,
        "new_last_used_at": totals.last_used_at or 0.0,
    }


async def _all(connection: AsyncConnection) -> list[StoredReranker]:
    rows = await connection.execute(select(RERANKERS).order_by(RERANKERS.c.key))
    return sorted(map(_reranker_of, rows.mappings()), key=lambda each: each.key)


async def _version(connection: AsyncConnection, key: str, version: int) -> RerankerVersion | None:
    statement = select(VERSIONS).where(VERSIONS.c.key == key, VERSIONS.c.version == version)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else _version_of(row)


def _reranker_of(row: RowMapping) -> StoredReranker:
    values = {name: value for name, value in row.items() if name != "content"}
    return StoredReranker(**values, content=msgspec.convert(row["content"], RerankerContent))


def _version_of(row: RowMapping) -> RerankerVersion:
    values = {name: value for name, value in row.items() if name not in ("key", "content")}
    return RerankerVersion(**values, content=msgspec.convert(row["content"], RerankerContent))
