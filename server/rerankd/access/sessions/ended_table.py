"""Sessions that were ended before their time, and logins that were completed, in the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text, delete, insert, select

from rerankd.store.changes import last_change, next_change
from rerankd.store.database import METADATA, Database

_COUNTER: Final = "ended_sessions"
ENDED_SESSIONS: Final = Table(
    "ended_sessions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("ends_at", Double, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("ix_ended_sessions_change", "change"),
)
_c: Final = ENDED_SESSIONS.c


class EndedTable:
    """Keeps ended sessions, and logins, until they would have ended by themselves. Every method raises `StoreError`.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def add(self, session_id: str, ends_at: float) -> bool:
        """Add a session; return whether it was not there already. Those whose time has passed are dropped."""
        async with self._database.begin() as connection:
            change = await next_change(connection, _COUNTER)
            await connection.execute(delete(ENDED_SESSIONS).where(_c.ends_at < self._clock()))
            known = await connection.execute(select(_c.id).where(_c.id == session_id))
            if known.first() is not None:
                return False
            row = {"id": session_id, "ends_at": ends_at, "change": change}
            await connection.execute(insert(ENDED_SESSIONS).values(row))
            return True

    async def changed_since(self, change: int) -> tuple[int, list[tuple[str, float]]]:
        """Return the number of the last change, and id and end of the sessions that were added after `change`."""
        async with self._database.begin() as connection:
            last = await last_change(connection, _COUNTER)
            if last <= change:
                return last, []
            rows = await connection.execute(select(_c.id, _c.ends_at).where(_c.change > change, _c.change <= last))
            return last, [(row.id, row.ends_at) for row in rows]
