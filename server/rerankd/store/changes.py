"""Change counters: a process sees by one number whether a table has changed since it looked."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.store.database import METADATA

_COUNTERS: Final = Table(
    "change_counters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)


async def next_change(connection: AsyncConnection, name: str) -> int:
    """Count one change and return its number.

    The counter's row stays locked until the transaction ends, so changes are committed in the order of their numbers:
    who has seen number n has seen all before it. Call it first in a transaction, so that SQLite takes its write lock
    before anything is read.
    """
    statement = update(_COUNTERS).where(_COUNTERS.c.name == name).values(value=_COUNTERS.c.value + 1)
    return int((await connection.execute(statement.returning(_COUNTERS.c.value))).scalar_one())


async def last_change(connection: AsyncConnection, name: str) -> int:
    """Return the number of the last change; 0 before the first."""
    return int((await connection.execute(select(_COUNTERS.c.value).where(_COUNTERS.c.name == name))).scalar_one())
