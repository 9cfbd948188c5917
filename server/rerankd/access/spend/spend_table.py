"""Sums of spend in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Integer,
    RowMapping,
    Table,
    Text,
    delete,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from rerankd.access.spend.reports import AMOUNTS, SpendQuery, SpendRow
from rerankd.access.spend.sums import Rows
from rerankd.store.database import METADATA, Database

SPEND: Final = Table(
    "spend",
    METADATA,
    Column("day", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("group", Text, primary_key=True),
    Column("is_first_group", Boolean, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("search_units", BigInteger, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
)
SPEND_WRITERS: Final = Table(
    "spend_writers",
    METADATA,
    Column("writer", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("seen_at", Double, nullable=False),
)
_c: Final = SPEND.c
_w: Final = SPEND_WRITERS.c
_WRITER_KEPT_S: Final = 7 * 86_400


class SpendTable:
    """Adds to the sums and reports them. Task-safe; every method is one transaction and raises `StoreError`.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._insert = sqlite.insert if database.is_sqlite else postgresql.insert

    async def add(self, writer: str, number: int, rows: Rows) -> bool:
        """Add rows to the sums, once: a writer numbers what it adds, and repeats one whose outcome it does not know.

        Args:
            writer: Name of the writer, unique in all processes.
            number: From 1; larger by one than that of its last rows.
            rows: What to add.

        Returns:
            Whether they were added; they were before if not.
        """
        now_s = self._clock()
        writing = self._insert(SPEND_WRITERS).values(writer=writer, number=number, seen_at=now_s)
        once = writing.on_conflict_do_update(
            index_elements=[_w.writer],
            set_={"number": writing.excluded.number, "seen_at": writing.excluded.seen_at},
            where=_w.number < writing.excluded.number,
        ).returning(_w.number)
        adding = self._insert(SPEND)
        added = {name: _c[name] + adding.excluded[name] for name in AMOUNTS}
        upsert = adding.on_conflict_do_update(index_elements=list(SPEND.primary_key), set_=added)
        # In the order of their keys, so that two writers cannot wait for each other's rows.
        values = [{**key._asdict(), **asdict(rows[key])} for key in sorted(rows)]
        async with self._database.begin() as connection:
            if (await connection.execute(once)).one_or_none() is None:
                return False
            if values:
                await connection.execute(upsert, values)
            return True

    async def delete_before(self, keep_days: int) -> int:
        """Delete the sums of days more than `keep_days` ago, and writers that ended; return how many sums."""
        now_s = self._clock()
        first = datetime.fromtimestamp(now_s, UTC).date() - timedelta(days=keep_days)
        async with self._database.begin() as connection:
            await connection.execute(delete(SPEND_WRITERS).where(_w.seen_at < now_s - _WRITER_KEPT_S))
            return (await connection.execute(delete(SPEND).where(_c.day < first.isoformat()))).rowcount

    async def report(self, query: SpendQuery, after: Sequence[str] = (), size: int = 500) -> list[SpendRow]:
        """Return sums, in the order of the names that they are grouped by.

        Args:
            query: Which, and grouped by what.
            after: Names of the last row of the page before, in the order of `query.by`; empty for the first page.
            size: Most rows.
        """
        by = [_c[name] for name in query.by]
        sums = [func.coalesce(func.sum(_c[name]), 0).label(name) for name in AMOUNTS]
        statement = select(*by, *sums).where(_c.day >= query.first_day, _c.day <= query.last_day, *_wanted(query))
        statement = statement.having(func.count() > 0)  # no row of zeros where nothing is summed
        if by:
            statement = statement.group_by(*by).order_by(*by).limit(size)
            if after:
                statement = statement.where(tuple_(*by) > tuple_(*map(literal, after)))
        async with self._database.begin() as connection:
            found = (await connection.execute(statement)).mappings().all()
        return [_row_of(row, query.by) for row in found]


def _row_of(row: RowMapping, by: Sequence[str]) -> SpendRow:
    return SpendRow(
        names=tuple(row[name] for name in by),
        calls=int(row["calls"]),
        documents=int(row["documents"]),
        tokens=int(row["tokens"]),
        search_units=int(row["search_units"]),
        cost_usd=float(row["cost_usd"]),
        unpriced_calls=int(row["unpriced_calls"]),
    )


def _wanted(query: SpendQuery) -> list[ColumnElement[bool]]:
    given = {"key_id": query.key_id, "group": query.group, "user": query.user, "model": query.model}
    found: list[ColumnElement[bool]] = [_c[name] == value for name, value in given.items() if value is not None]
    if "group" not in query.by and query.group is None:
        found.append(_c.is_first_group)
    return found
