"""The store's sums of spend, opened when something needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.access.spend.spend_table import SpendTable


class StoredSpend:
    """Opens the table for the first use of it.

    Args:
        database: The store.
    """

    def __init__(self, database: LazyDatabase) -> None:
        self.timeout_s = database.timeout_s
        """Longest time a statement waits."""
        self._database = database
        self._table: SpendTable | None = None

    async def table(self) -> SpendTable:
        """Return the table; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        if self._table is None:
            from rerankd.access.spend.spend_table import SpendTable

            self._table = SpendTable(await self._database.open())
        return self._table

    async def table_if_present(self) -> SpendTable | None:
        """Return the table; None where there is no SQLite file, which is not created.

        Raises:
            StoreError: The store cannot be used.
        """
        return await self.table() if self._table is not None or self._database.is_there else None
