"""The store's keys, opened when something needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerankd.access.api_key import ApiKey
from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.access.key_table import KeyTable


class LazyStoredKeys:
    """Opens the keys' table for the first use of it.

    Reading creates no SQLite file: where there is none, there are no keys.

    Args:
        database: The store.
    """

    def __init__(self, database: LazyDatabase) -> None:
        self._database = database
        self._table: KeyTable | None = None

    async def changed_since(self, change: int) -> tuple[int, list[ApiKey]]:
        """Return the number of the last change, and the keys that changed after `change`.

        Raises:
            StoreError: The store cannot be used.
        """
        table = await self.table_if_present()
        return (0, []) if table is None else await table.changed_since(change)

    async def table_if_present(self) -> KeyTable | None:
        """Return the keys' table; None where there is no SQLite file, which is not created.

        Raises:
            StoreError: The store cannot be used.
        """
        return await self.table() if self._database.is_there else None

    async def table(self) -> KeyTable:
        """Return the keys' table; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        if self._table is None:
            from rerankd.access.key_table import KeyTable

            self._table = KeyTable(await self._database.open())
        return self._table
