"""`ListRuns` and `GetRun`: logged calls over the transports, for callers who have been admitted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from rerankd.contract import reranker_messages as messages
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_messages import run_message
from rerankd.runs.run_page import PagedRuns
from rerankd.store.faults import store_faults

_DEFAULT_PAGE: Final = 50
_MAX_PAGE: Final = 500
_MAX_CHARS: Final = 300
"""Longest text of a filter: names that are logged are cut to 200 characters."""
_SHOWN_CHARS: Final = 64
_PAGES_LOOKED_AT: Final = 10
"""Of `_MAX_PAGE` runs each, for one call of a caller who may see some alone."""
_TEXTS: Final = ("reason", "model", "key_id", "user", "source", "request_id", "replay_of", "experiment_id")


class ReadableRuns(PagedRuns, Protocol):
    """Where runs are read: `StoredRuns`. Its methods raise `StoreError`."""

    async def get(self, run_id: str) -> Run | None:
        """Return a run with its details; `None` where there is none."""
        ...

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        """Return which of up to 1,000 runs there are."""
        ...


class RunReading:
    """Reads runs. Task-safe.

    Args:
        runs: The run log.
    """

    def __init__(self, runs: ReadableRuns) -> None:
        self._runs = runs

    async def list(
        self, request: messages.ListRunsRequest, allows: Callable[[Run], bool] | None = None
    ) -> messages.ListRunsResponse:
        """List one page of runs, the newest first.

        Args:
            request: Which ones.
            allows: Tells whether a run, without its details, may be listed; None: all may.

        Returns:
            A page, which may hold fewer runs than asked for, even none, and have a next one.

        Raises:
            ServiceError: `INVALID_REQUEST`, `STORE_UNAVAILABLE`.
        """
        size = _DEFAULT_PAGE if request.page_size is None else request.page_size
        if violations := list(_violations(request, size)):
            raise invalid_request(violations)
        with store_faults():
            if allows is not None:
                found, token = await self._allowed(_filter_of(request), size, request.page_token, allows)
            else:
                found, token = await self._runs.page(_filter_of(request), size, request.page_token)
        return messages.ListRunsResponse(runs=list(map(run_message, found)), next_page_token=token)

    async def _allowed(
        self, wanted: RunFilter, size: int, before: str, allows: Callable[[Run], bool]
    ) -> tuple[Sequence[Run], str]:
        """Return up to `size` runs that may be listed, and the token of the next page; looks at 5,000 at most."""
        found: list[Run] = []
        for _ in range(_PAGES_LOOKED_AT):
            page = await self._runs.page(wanted, _MAX_PAGE, before)
            for run in filter(allows, page.runs):
                if len(found) == size:
                    return found, found[-1].run_id
                found.append(run)
            before = page.next_before
            if not before or len(page.runs) < _MAX_PAGE:
                break
        return found, before

    async def has_runs_of(self, reranker: str) -> bool:
        """Whether there is a run of a reranker.

        Raises:
            ServiceError: `STORE_UNAVAILABLE`.
        """
        with store_faults():
            return bool((await self._runs.page(RunFilter(reranker=reranker), 1)).runs)

    async def get(self, request: messages.GetRunRequest) -> messages.GetRunResponse:
        """Return one run.

        Raises:
            ServiceError: `RUN_NOT_FOUND`, `STORE_UNAVAILABLE`.
        """
        run_id = request.run_id
        with store_faults():
            run = await self._runs.get(run_id) if _is_run_id(run_id) else None
        if run is None:
            shown = run_id[:_SHOWN_CHARS]
            message = f"run {shown} not found; runs are deleted after runs.keep_days"
            raise ServiceError(Reason.RUN_NOT_FOUND, message, metadata={"run_id": shown})
        return messages.GetRunResponse(run=run_message(run))


def _violations(request: messages.ListRunsRequest, size: int) -> Iterator[FieldViolation]:
    if not 1 <= size <= _MAX_PAGE:
        yield FieldViolation("limit", f"limit must be 1 to {_MAX_PAGE}, was {size}")
    if request.page_token and not _is_run_id(request.page_token):
        yield FieldViolation("cursor", "cursor must be nextCursor of an answer, or empty")
    if request.started_from and request.started_to and request.started_from >= request.started_to:
        yield FieldViolation("to", "to must be later than from; runs that begin at it are left out")
    for name in ("key", *_TEXTS):
        if len(text := getattr(request, name)) > _MAX_CHARS or "\0" in text:
            yield FieldViolation(name, f"{name} must have at most {_MAX_CHARS} characters, and no NUL")


def _filter_of(request: messages.ListRunsRequest) -> RunFilter:
    status = "" if request.status is messages.RunStatus.UNSPECIFIED else request.status.value
    return RunFilter(
        started_from=_seconds(request.started_from),
        started_to=_seconds(request.started_to),
        status=status,
        reranker=request.key,
        min_latency_ms=request.min_latency_ms,
        max_latency_ms=request.max_latency_ms,
        **{name: getattr(request, name) for name in _TEXTS},
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _is_run_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
