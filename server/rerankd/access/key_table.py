"""API keys in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy import JSON, BigInteger, Column, Double, Index, RowMapping, Table, Text, insert, or_, select, update

from rerankd.access.api_key import ApiKey, KeyDetails
from rerankd.store.changes import last_change, next_change
from rerankd.store.database import METADATA, Database

COUNTER: Final = "api_keys"
"""The change counter of this table."""
API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("old_digest", Text, nullable=False),
    Column("old_expires_at", Double, nullable=True),
    Column("hint", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=True),
    Column("revoked_at", Double, nullable=True),
    Column("change", BigInteger, nullable=False),
    Index("ix_api_keys_change", "change"),
)
_c: Final = API_KEYS.c


class KeyTable:
    """Reads and changes the keys. Task-safe; every method is one transaction and raises `StoreError`.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def add(self, keys: Sequence[ApiKey]) -> list[str]:
        """Add keys, all or none.

        Returns:
            Ids of those whose key, or whose id, is known already; empty when all were added.
        """
        async with self._database.begin() as connection:
            change = await next_change(connection, COUNTER)
            digests = [key.digest for key in keys]
            known = select(_c.id, _c.digest, _c.old_digest).where(
                or_(_c.digest.in_(digests), _c.old_digest.in_(digests), _c.id.in_([key.id for key in keys]))
            )
            rows = (await connection.execute(known)).all()
            taken = {text for row in rows for text in row}
            clashing = [key.id for key in keys if key.digest in taken or key.id in taken]
            if not clashing and keys:
                await connection.execute(insert(API_KEYS), [_row_of(key, change) for key in keys])
            return clashing

    async def get(self, key_id: str) -> ApiKey | None:
        """Return a key by its id; None where there is none."""
        async with self._database.begin() as connection:
            row = (await connection.execute(select(API_KEYS).where(_c.id == key_id))).mappings().one_or_none()
            return None if row is None else _key_of(row)

    async def page(self, after: str, size: int, *, with_revoked: bool = False) -> list[ApiKey]:
        """Return up to `size` keys in the order of their ids, the first one after the id `after`."""
        statement = select(API_KEYS).where(_c.id > after).order_by(_c.id).limit(size)
        if not with_revoked:
            statement = statement.where(_c.revoked_at.is_(None))
        async with self._database.begin() as connection:
            return [_key_of(row) for row in (await connection.execute(statement)).mappings()]

    async def rotate(self, key_id: str, digest: str, hint: str, overlap_s: float) -> ApiKey | None:
        """Give a key another secret; the old one is taken for `overlap_s` seconds more.

        Returns:
            The key as it is now; None where there is none, or it is revoked.
        """
        async with self._database.begin() as connection:
            change = await next_change(connection, COUNTER)
            statement = (
                update(API_KEYS)
                .where(_c.id == key_id, _c.revoked_at.is_(None))
                .values(
                    old_digest=_c.digest,
                    old_expires_at=self._clock() + overlap_s,
                    digest=digest,
                    hint=hint,
                    change=change,
                )
            )
            row = (await connection.execute(statement.returning(*_c))).mappings().one_or_none()
            return None if row is None else _key_of(row)

    async def revoke(self, key_id: str) -> ApiKey | None:
        """Revoke a key, for good; one that is revoked stays as it is. None where there is none."""
        async with self._database.begin() as connection:
            change = await next_change(connection, COUNTER)
            statement = update(API_KEYS).where(_c.id == key_id, _c.revoked_at.is_(None))
            await connection.execute(statement.values(revoked_at=self._clock(), change=change))
            row = (await connection.execute(select(API_KEYS).where(_c.id == key_id))).mappings().one_or_none()
            return None if row is None else _key_of(row)

    async def changed_since(self, change: int) -> tuple[int, list[ApiKey]]:
        """Return the number of the last change, and the keys that changed after `change`."""
        async with self._database.begin() as connection:
            last = await last_change(connection, COUNTER)
            if last <= change:
                return last, []
            rows = await connection.execute(select(API_KEYS).where(_c.change > change, _c.change <= last))
            return last, [_key_of(row) for row in rows.mappings()]


def _row_of(key: ApiKey, change: int) -> dict[str, object]:
    row = {column.name: getattr(key, column.name) for column in _c if column.name not in ("details", "change")}
    return {**row, "details": msgspec.to_builtins(key.details), "change": change}


def _key_of(row: RowMapping) -> ApiKey:
    values = {name: value for name, value in row.items() if name not in ("details", "change")}
    return ApiKey(**values, details=msgspec.convert(row["details"], KeyDetails))
