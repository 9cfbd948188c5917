"""The reader's side of the run log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.runs.detail_blocks import decompressed, details_in
from rerankd.runs.rows import run_of
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import RunPage
from rerankd.runs.run_search import search_of
from rerankd.runs.tables import LISTED, RUN_BLOCKS, RUNS
from rerankd.store.database import Database

_c: Final = RUNS.c
_DETAILS: Final = (_c.details, _c.block_id)


class RunTable:
    """Reads runs. Task-safe; every method is one transaction and raises `StoreError`.

    Args:
        database: Migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: str) -> Run | None:
        """Return a run with its details; `None` where there is none."""
        statement = select(*LISTED, *_DETAILS).where(_c.run_id == run_id)
        async with self._database.begin() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            runs = await _with_details(connection, rows)
        return runs[0] if runs else None

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        """Return which of up to 1,000 runs there are."""
        statement = select(_c.run_id).where(_c.run_id.in_(run_ids))
        async with self._database.begin() as connection:
            return set((await connection.execute(statement)).scalars())

    async def page(self, wanted: RunFilter, size: int, before: str = "", *, with_details: bool = False) -> RunPage:
        """Return runs, the newest first, and where the next page begins.

        A page goes through `SCANNED` entries of an index at most. Where conditions seldom meet, it ends there.

        Args:
            wanted: Conditions.
            size: Runs at most.
            before: `next_before` of the page before; empty for the first page.
            with_details: Whether details are read too.
        """
        columns = [*LISTED, *_DETAILS] if with_details else LISTED
        async with self._database.begin() as connection:
            search = await search_of(connection, wanted, before)
            statement = select(*columns).where(_c.run_id.in_(search.found(size + 1))).order_by(_c.run_id.desc())
            found = (await connection.execute(statement)).mappings().all()
            rows = found[:size]
            next_before = rows[-1]["run_id"] if len(found) > size else await search.last_entry(connection)
            runs = await _with_details(connection, rows) if with_details else list(map(run_of, rows))
        return RunPage(runs, next_before)

    async def count(self, wanted: RunFilter, at_most: int) -> int:
        """Return how many runs meet the conditions; `at_most` if there are more."""
        async with self._database.begin() as connection:
            search = await search_of(connection, wanted)
            return await search.count(connection, at_most)


async def _with_details(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Run]:
    """Return the runs of rows; those that are deleted meanwhile, with their blocks, are left out."""
    blocks = {"": b""}
    if ids := {row["block_id"] for row in rows} - {""}:
        found = await connection.execute(select(*RUN_BLOCKS.c).where(RUN_BLOCKS.c.block_id.in_(ids)))
        blocks |= {block_id: decompressed(bytes(data)) for block_id, data in found}
    return [run_of(row, details_in(row, blocks)) for row in rows if row["block_id"] in blocks]
