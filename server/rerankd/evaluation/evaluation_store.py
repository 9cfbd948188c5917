"""The tables of judgements and experiments, opened when something needs them. Cheap to import: no database library."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.evaluation.experiment_table import ExperimentTable
    from rerankd.evaluation.judgements.table import JudgementTable


class EvaluationStore:
    """Opens the store for the first use of it. For one event loop.

    Args:
        database: The store; its creator closes it.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: LazyDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    @property
    def is_there(self) -> bool:
        """Whether there is something to read: reading is to create no SQLite file."""
        return self._database.is_there

    async def judgements(self) -> JudgementTable:
        """Return the judgements; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        from rerankd.evaluation.judgements.table import JudgementTable

        return JudgementTable(await self._database.open(), self._clock)

    async def experiments(self) -> ExperimentTable:
        """Return the experiments; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        from rerankd.evaluation.experiment_table import ExperimentTable

        return ExperimentTable(await self._database.open(), self._clock)
