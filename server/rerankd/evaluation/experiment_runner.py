"""Runs an experiment: replays its runs through the service's batch and compares the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol

from msgspec.structs import replace

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import (
    BatchItem,
    BatchItemResult,
    BatchRerankRequest,
    RerankRequest,
    RerankResponse,
    Status,
)
from rerankd.contract.service import RerankService
from rerankd.engine.batch import run_batch
from rerankd.evaluation.experiment import Experiment, ExperimentQuery, QueryState
from rerankd.evaluation.experiment_summary import summarise_experiment
from rerankd.evaluation.experiment_table import ExperimentTable
from rerankd.evaluation.judgements.judgement import labels_of
from rerankd.evaluation.judgements.table import JudgementTable
from rerankd.evaluation.measures.comparison import compare
from rerankd.evaluation.replay import Replay, replay_of, side_of_response
from rerankd.runs.run import Run

LOWEST_PRIORITY: Final = 999
PULSE_S: Final = 10.0
"""Seconds between two signs of life."""
_PATIENCE: Final = 10
"""Times that a call is made again when limits are full."""
_MOST_WAIT_S: Final = 60.0
_WAIT_S: Final = 1.0
"""Wait where no time is named."""
_FULL: Final = frozenset({Reason.OVERLOADED, Reason.RATE_LIMITED, Reason.PROVIDER_RATE_LIMITED})
_PAGE: Final = 200


class LoggedRuns(Protocol):
    """Where runs are read."""

    async def get(self, run_id: str) -> Run:
        """Return a run with its details.

        Raises:
            ServiceError: `RUN_NOT_FOUND`: there is none, or no more.
        """
        ...


class ExperimentRunner:
    """Runs experiments. Task-safe.

    Args:
        experiments: Keeps their state.
        judgements: What rankings are measured by.
        runs: The logged runs.
        service: Reranks; every replay is a call of it.
    """

    def __init__(
        self, experiments: ExperimentTable, judgements: JudgementTable, runs: LoggedRuns, service: RerankService
    ) -> None:
        self._experiments = experiments
        self._judgements = judgements
        self._runs = runs
        self._service = service

    async def run(self, experiment: Experiment, owner: str, call: CallContext) -> None:
        """Replay what is pending, then end the experiment. Returns early if it was cancelled or belongs to others now.

        Args:
            experiment: It runs, for `owner`.
            owner: Names this process.
            call: Who asked for it; the replays are calls of the same caller.

        Raises:
            StoreError: The store cannot be used; the experiment can be resumed.
        """
        work = asyncio.create_task(self._replay_all(experiment, owner, call))
        pulse = asyncio.create_task(self._beat(experiment.experiment_id, owner))
        try:
            done, _ = await asyncio.wait({work, pulse}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (work, pulse):
                task.cancel()
            await asyncio.gather(work, pulse, return_exceptions=True)

    async def _beat(self, experiment_id: str, owner: str) -> None:
        is_mine = True
        while is_mine:
            await asyncio.sleep(PULSE_S)
            is_mine = await self._experiments.is_alive(experiment_id, owner)

    async def _replay_all(self, experiment: Experiment, owner: str, call: CallContext) -> None:
        replays: dict[str, tuple[ExperimentQuery, Replay]] = {}

        def context_of(item: BatchItem, context: CallContext) -> CallContext:
            _, replay = replays[item.item_id]
            return replay.context_of(context, experiment.experiment_id)

        requests = self._requests(experiment, owner, replays)
        context = background_call(call)
        outcomes = run_batch(self._rerank, requests, context, experiment.concurrency, context_of)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                if outcome.item is None:
                    continue
                query, replay = replays.pop(outcome.item.item_id)
                ended = await self._ended(experiment, query, replay, outcome.item)
                if not await self._store(experiment, owner, ended):
                    return
        found = [query async for query in self._all(experiment.experiment_id)]
        summary = await summarise_experiment(found, experiment.depth)
        await self._experiments.finish(experiment.experiment_id, owner, summary)

    async def _rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        """Rerank; wait while limits are full, for others go first."""
        for _ in range(_PATIENCE):
            try:
                return await self._service.rerank(request, call)
            except ServiceError as error:
                if error.reason not in _FULL or error.is_final:
                    raise
                wait_s = _WAIT_S if error.retry_after_s is None else error.retry_after_s
            await asyncio.sleep(min(wait_s, _MOST_WAIT_S))
        return await self._service.rerank(request, call)

    async def _requests(
        self, experiment: Experiment, owner: str, replays: dict[str, tuple[ExperimentQuery, Replay]]
    ) -> AsyncIterator[BatchRerankRequest]:
        """Yield the request of every pending query; those that cannot be replayed are skipped."""
        async for query in self._in_state(experiment.experiment_id, QueryState.PENDING):
            try:
                replay = replay_of(await self._runs.get(query.run_id), experiment.candidate)
            except ServiceError as error:
                skipped = replace(query, state=QueryState.SKIPPED, reason=error.reason.value, message=error.message)
                if not await self._store(experiment, owner, skipped):
                    return
                continue
            name = str(query.position)
            replays[name] = (query, replay)
            replay.request.priority = LOWEST_PRIORITY
            yield BatchRerankRequest(item=BatchItem(item_id=name, request=replay.request))

    async def _ended(
        self, experiment: Experiment, query: ExperimentQuery, replay: Replay, outcome: BatchItemResult
    ) -> ExperimentQuery:
        response = outcome.response
        if response is None:
            reason = reason_of(outcome.status)
            message = outcome.status.message if outcome.status else ""
            return replace(query, state=QueryState.FAILED, before=replay.side, reason=reason, message=message)
        known = (await self._judgements.of_queries([replay.query_hash])).get(replay.query_hash, ())
        after = replay.order_of([result.index for result in response.results])
        return replace(
            query,
            state=QueryState.DONE,
            before=replay.side,
            after=side_of_response(response),
            comparison=compare(replay.order, after, labels_of(known, replay.documents), experiment.depth),
        )

    async def _store(self, experiment: Experiment, owner: str, query: ExperimentQuery) -> bool:
        badness = None if query.comparison is None else query.comparison.badness
        return await self._experiments.end_query(experiment.experiment_id, owner, query, badness)

    async def _all(self, experiment_id: str) -> AsyncIterator[ExperimentQuery]:
        for state in (QueryState.DONE, QueryState.FAILED, QueryState.SKIPPED):
            async for query in self._in_state(experiment_id, state):
                yield query

    async def _in_state(self, experiment_id: str, state: QueryState) -> AsyncIterator[ExperimentQuery]:
        after = -1
        while page := await self._experiments.queries(experiment_id, state=state, after=after, size=_PAGE):
            after = page[-1].position
            for query in page:
                yield query


def background_call(call: CallContext) -> CallContext:
    """Return the context of work that goes on after a call: the same caller, no deadline, nothing to answer."""
    return replace(call, deadline_s=None, response_metadata={}, source="replay")


def reason_of(status: Status | None) -> str:
    """Return the `ErrorReason` in a status; empty without one."""
    details = () if status is None else status.details
    return next((str(each["reason"]) for each in details if "reason" in each), "")
