"""Pages of runs. Cheap to import: no database library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter


class RunPage(NamedTuple):
    """Some of the runs that meet conditions."""

    runs: list[Run]
    """The newest first. May be fewer than were asked for, even none, although there are more."""
    next_before: str
    """`before` of the next page; empty on the last one."""


class PagedRuns(Protocol):
    """Runs by pages. `RunTable` and `StoredRuns` satisfy it."""

    async def page(self, wanted: RunFilter, size: int, before: str = "", *, with_details: bool = False) -> RunPage:
        """Return up to `size` runs older than `before`; see `RunTable.page`."""
        ...


async def pages_of(
    runs: PagedRuns, wanted: RunFilter, size: int, *, with_details: bool = False
) -> AsyncIterator[list[Run]]:
    """Yield all runs that meet the conditions, the newest first, in lists of 1 to `size`."""
    page = await runs.page(wanted, size, with_details=with_details)
    while True:
        if page.runs:
            yield page.runs
        if not page.next_before:
            return
        page = await runs.page(wanted, size, page.next_before, with_details=with_details)
