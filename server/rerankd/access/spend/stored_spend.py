"""The store's sums of spend, opened when something needs them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rerankd.store.settings import StoreSettings

if TYPE_CHECKING:
    from rerankd.access.spend.spend_table import SpendTable
    from rerankd.store.database import Database


class StoredSpend:
    """Opens the store for the first use of it. For one event loop; its creator closes it.

    Args:
        settings: Where the store is.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.timeout_s = settings.timeout_s
        """Longest time a statement waits."""
        self._settings = settings
        self._database: Database | None = None
        self._table: SpendTable | None = None
        self._opening = asyncio.Lock()

    async def table(self) -> SpendTable:
        """Return the table; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        async with self._opening:
            if self._table is None:
                self._table = await self._open()
            return self._table

    async def table_if_present(self) -> SpendTable | None:
        """Return the table; None where there is no SQLite file, which is not created.

        Raises:
            StoreError: The store cannot be used.
        """
        if self._table is None and self._settings.is_sqlite and not self._settings.sqlite_path().exists():
            return None
        return await self.table()

    async def close(self) -> None:
        """Close the store."""
        if self._database is not None:
            await self._database.close()

    async def _open(self) -> SpendTable:
        from rerankd.access.spend.spend_table import SpendTable
        from rerankd.store.database import Database
        from rerankd.store.migrating import open_store

        if self._database is None:
            self._database = Database(self._settings)
        await open_store(self._database)
        return SpendTable(self._database)
