"""The store, opened when something needs it. Cheap to import: no database library."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rerankd.store.settings import StoreSettings

if TYPE_CHECKING:
    from rerankd.store.database import Database


class LazyDatabase:
    """Opens the store for the first use of it. For one event loop; its creator closes it.

    Args:
        settings: Where the store is.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._made: Database | None = None
        self._opened: Database | None = None
        self._opening: asyncio.Task[Database] | None = None

    @property
    def timeout_s(self) -> float:
        """Longest time a statement waits for a lock."""
        return self._settings.timeout_s

    @property
    def is_there(self) -> bool:
        """Whether there is something to read: reading is to create no SQLite file."""
        return self._opened is not None or not self._settings.is_sqlite or self._settings.sqlite_path().exists()

    async def open(self) -> Database:
        """Return the store; a SQLite file is created and migrated. Opening goes on if its callers are cancelled.

        Raises:
            StoreError: The store cannot be used.
        """
        if self._opened is not None:
            return self._opened
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="open-store")
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close all connections."""
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._made is not None:
            await self._made.close()

    async def _open(self) -> Database:
        from rerankd.store.database import Database
        from rerankd.store.migrating import open_store

        if self._made is None:
            self._made = Database(self._settings)
        await open_store(self._made)
        self._opened = self._made
        return self._opened
