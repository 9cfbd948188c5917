"""The store's runs, opened when something reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import RunPage
from rerankd.store.settings import StoreSettings

if TYPE_CHECKING:
    from rerankd.runs.run_table import RunTable
    from rerankd.store.database import Database


class StoredRuns:
    """Opens the store for the first use of it. For one event loop; its creator closes it.

    Reading creates no SQLite file: where there is none, there are no runs. Methods raise `StoreError`.

    Args:
        settings: Where the store is.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._database: Database | None = None
        self._table: RunTable | None = None
        self._opening = asyncio.Lock()

    async def get(self, run_id: str) -> Run | None:
        """Return a run with its details; `None` where there is none."""
        table = await self._opened()
        return None if table is None else await table.get(run_id)

    async def page(self, wanted: RunFilter, size: int, before: str = "", *, with_details: bool = False) -> RunPage:
        """Return runs, the newest first; see `RunTable.page`."""
        table = await self._opened()
        return RunPage([], "") if table is None else await table.page(wanted, size, before, with_details=with_details)

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        """Return which of up to 1,000 runs there are."""
        table = await self._opened()
        return () if table is None else await table.known(run_ids)

    async def count(self, wanted: RunFilter, at_most: int) -> int:
        """Return how many runs meet the conditions; `at_most` if there are more."""
        table = await self._opened()
        return 0 if table is None else await table.count(wanted, at_most)

    async def close(self) -> None:
        """Close the store."""
        if self._database is not None:
            await self._database.close()

    async def _opened(self) -> RunTable | None:
        async with self._opening:
            if self._table is None and (not self._settings.is_sqlite or self._settings.sqlite_path().exists()):
                self._table = await self._open()
            return self._table

    async def _open(self) -> RunTable:
        from rerankd.runs.run_table import RunTable
        from rerankd.store.database import Database
        from rerankd.store.migrating import open_store

        if self._database is None:
            self._database = Database(self._settings)
        await open_store(self._database)
        return RunTable(self._database)
