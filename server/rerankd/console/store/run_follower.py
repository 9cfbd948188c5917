"""Finds runs that were logged since the last look."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import pages_of
from rerankd.runs.run_table import RunTable

HORIZON_S: Final = 300.0
"""Runs are in the order of their calls' starts and are stored at their ends, so some come after younger ones: those of
calls that take up to so long are found."""
_PAGE: Final = 200


class RunFollower:
    """Returns each run once.

    Args:
        table: Has the runs.
        wanted: Conditions; a time is not among them.
        clock: Returns seconds since 1970.
    """

    def __init__(self, table: RunTable, wanted: RunFilter, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._wanted = wanted
        self._clock = clock
        self._seen: set[str] | None = None

    async def poll(self) -> list[Run]:
        """Return the runs that came since the last call, in the order of their starts; none the first time."""
        young = replace(self._wanted, started_from=self._clock() - HORIZON_S)
        found = [run async for page in pages_of(self._table, young, _PAGE) for run in page]
        seen, self._seen = self._seen, {run.run_id for run in found}
        return [] if seen is None else [run for run in reversed(found) if run.run_id not in seen]
