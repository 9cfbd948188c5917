"""Finds logged runs: one by its id, or those that an experiment takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from rerankd.contract.call_context import MAX_REQUEST_ID_CHARS
from rerankd.contract.errors import Reason, ServiceError
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import pages_of
from rerankd.runs.run_reading import ReadableRuns

_PAGE: Final = 500


class RunLookup:
    """Finds runs. Task-safe. Satisfies `LoggedRuns`.

    Args:
        runs: The run log.
    """

    def __init__(self, runs: ReadableRuns) -> None:
        self._runs = runs

    async def get(self, run_id: str) -> Run:
        """Return a run with its details.

        Raises:
            ServiceError: `RUN_NOT_FOUND`.
        """
        run = await self._runs.get(run_id) if _may_be_known(run_id) else None
        if run is None:
            raise _not_found(run_id)
        return run

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        """Return which of up to 1,000 runs the log still has."""
        return await self._runs.known(run_ids)

    async def get_any(self, name: str, caller: str) -> Run:
        """Return the run with an id, else the newest one of a caller whose answer had it.

        Args:
            name: Id of a run, which nobody can guess, or that of an answer, which callers may choose themselves.
            caller: Identity of the caller; empty for an anonymous one.

        Raises:
            ServiceError: `RUN_NOT_FOUND`.
        """
        if not _may_be_known(name):
            raise _not_found(name)
        if (run := await self._runs.get(name)) is not None:
            return run
        for run in (await self._runs.page(RunFilter(request_id=name), 10, with_details=True)).runs:
            if run.caller == caller:
                return run
        raise _not_found(name)

    async def choose(
        self, wanted: RunFilter, most: int, allows: Callable[[str], bool] = lambda _name: True
    ) -> Sequence[Run]:
        """Return the newest runs that meet the conditions, without details; replays are left out.

        Args:
            wanted: Conditions.
            most: Runs at most, at least 1.
            allows: Tells whether runs of a model or reranker may be taken.
        """
        found: list[Run] = []
        async for runs in pages_of(self._runs, wanted, _PAGE):
            found += [run for run in runs if not run.replay_of and allows(run.asked)]
            if len(found) >= most:
                break
        return found[:most]


def _may_be_known(name: str) -> bool:
    return bool(name) and len(name) <= MAX_REQUEST_ID_CHARS + 20 and name.isascii() and name.isprintable()


def _not_found(name: str) -> ServiceError:
    shown = name[:MAX_REQUEST_ID_CHARS]
    message = (
        f"there is no logged run {shown!r}; which calls are logged is set by runs.calls, and how long they are kept by "
        "runs.keep_days and runs.max_mb"
    )
    return ServiceError(Reason.RUN_NOT_FOUND, message, metadata={"run_id": shown})
