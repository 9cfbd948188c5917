"""Deletes old experiments and judgements, a few rows at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.evaluation.judgements.judgement import Source
from rerankd.evaluation.settings import EvaluationSettings
from rerankd.store.errors import StoreError
from rerankd.telemetry.fault_log import FaultLog

RETENTION_S: Final = 60.0
"""Seconds between two looks for what to delete."""
_LEAST_PAUSE_S: Final = 0.01
"""Between two steps, so that others write too; a longer step has as long a pause."""
_DAY_S: Final = 86_400.0
_FEEDBACK: Final = (Source.FEEDBACK, None)
"""Sources of grades of end users, and of documents that were only clicked."""
_JUDGES: Final = (Source.API, Source.IMPORT)
_log: Final = structlog.get_logger("rerankd.evaluation")

Step = Callable[[], Awaitable[int]]
"""Deletes some rows; returns how many."""


class Retention:
    """Deletes what is older than the settings say. For one event loop; its creator closes it.

    Every process that has a store does; a row that another one has deleted is no row.

    Args:
        settings: How long it is kept.
        store: Has experiments and judgements; nothing is created.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self, settings: EvaluationSettings, store: EvaluationStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._faults = FaultLog(
            _log, "old experiments and judgements cannot be deleted", "old experiments and judgements are deleted again"
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, in a minute for the first time."""
        self._task = asyncio.create_task(self._keep_deleting(), name="evaluation-retention")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def delete_old(self) -> int:
        """Delete all that is too old now; return how many rows. A fault of the store is logged once."""
        deleted = 0
        if not self._store.is_there:
            return deleted
        try:
            for step in await self._steps():
                while rows := await self._measured(step):
                    deleted += rows
        except StoreError as error:
            self._faults.failed(error)
        else:
            self._faults.succeeded()
        return deleted

    async def _keep_deleting(self) -> None:
        while True:
            await asyncio.sleep(RETENTION_S)
            await self.delete_old()

    async def _steps(self) -> list[Step]:
        experiments, judgements = await self._store.experiments(), await self._store.judgements()
        steps: list[Step] = []
        if (before := self._before(self._settings.keep_experiments_days)) is not None:
            steps.append(partial(experiments.delete_before, before))
        return steps + [partial(judgements.delete_before, at, source) for source, at in self._sources()]

    def _sources(self) -> Iterator[tuple[Source | None, float]]:
        kept = (
            (_FEEDBACK, self._settings.keep_feedback_days),
            (_JUDGES, self._settings.keep_judgements_days),
        )
        for sources, days in kept:
            if (before := self._before(days)) is not None:
                yield from ((source, before) for source in sources)

    def _before(self, days: float | None) -> float | None:
        return None if days is None else self._clock() - days * _DAY_S

    async def _measured(self, step: Step) -> int:
        began_s = time.monotonic()
        rows = await step()
        if rows:
            await asyncio.sleep(max(time.monotonic() - began_s, _LEAST_PAUSE_S))
        return rows
