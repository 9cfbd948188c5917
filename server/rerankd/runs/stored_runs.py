"""The store's runs, opened when something reads them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import RunPage
from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.runs.run_table import RunTable


class StoredRuns:
    """Opens the table for the first use of it.

    Reading creates no SQLite file: where there is none, there are no runs. Methods raise `StoreError`.

    Args:
        database: The store.
    """

    def __init__(self, database: LazyDatabase) -> None:
        self._database = database
        self._table: RunTable | None = None

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

    async def _opened(self) -> RunTable | None:
        if self._table is None and self._database.is_there:
            from rerankd.runs.run_table import RunTable

            self._table = RunTable(await self._database.open())
        return self._table
