"""The table of rerankers, opened when something needs it. Cheap to import: no database library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rerankd.registry.stored_reranker import StoredReranker
from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.registry.reranker_table import RerankerTable


class LazyRerankerTable:
    """Opens the table for the first use of it.

    Reading creates no SQLite file: where there is none, there are no stored rerankers.

    Args:
        database: The store.
    """

    def __init__(self, database: LazyDatabase) -> None:
        self._database = database
        self._table: RerankerTable | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a store to read."""
        return self._database.is_there

    async def table(self) -> RerankerTable:
        """Return the table; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        if self._table is None:
            from rerankd.registry.reranker_table import RerankerTable

            self._table = RerankerTable(await self._database.open())
        return self._table

    async def read_if_changed(self, change: int) -> tuple[int, Sequence[StoredReranker] | None]:
        """Return the number of the last change, and all rerankers unless that is `change`.

        Raises:
            StoreError: The store cannot be used.
        """
        if not self.is_there:
            return 0, None if change == 0 else ()
        return await (await self.table()).read_if_changed(change)
