"""Begins, stops and resumes experiments, which run in the background of this process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import RerankService
from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.evaluation.experiment import Experiment, ExperimentQuery, State, new_experiment_id
from rerankd.evaluation.replay import replay_of, side_of
from rerankd.evaluation.run_lookup import RunLookup
from rerankd.runs.run import Run

MOST_RUNNING: Final = 4
"""Experiments that one process runs at once."""
_NO_RUN: Final = (
    "no logged run that was answered meets these conditions; runs.calls in the settings says which calls are logged"
)
_TRIED: Final = 20
"""Runs of which one must be complete for an experiment to begin."""

_log = structlog.get_logger("rerankd.evaluation")


class Experiments:
    """The experiments that this process runs. For one event loop; its creator closes it.

    Methods raise `StoreError` where the store cannot be used.

    Args:
        store: Judgements and experiments.
        runs: The run log.
        service: Reranks; every replay is a call of it, by the caller who began the experiment.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self, store: EvaluationStore, runs: RunLookup, service: RerankService, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._runs = runs
        self._service = service
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, wanted: Experiment, chosen: Sequence[Run], call: CallContext) -> Experiment:
        """Store an experiment and begin to run it.

        Args:
            wanted: What is asked for; its id, times, baseline and state are filled in.
            chosen: The runs, n >= 0.
            call: Who asks for it.

        Raises:
            ServiceError: `RUN_NOT_FOUND` without a run, `RUN_INCOMPLETE` if none of the first 20 can be replayed,
                `OVERLOADED` while four experiments run here.
        """
        self._check_room()
        if not chosen:
            raise ServiceError(Reason.RUN_NOT_FOUND, _NO_RUN)
        await self._check_replayable(chosen, wanted.candidate)
        now = self._clock()
        answered = Counter(side_of(run).model for run in chosen)
        made = Experiment(
            experiment_id=new_experiment_id(),
            name=wanted.name,
            candidate=wanted.candidate,
            baseline=[model for model, _ in answered.most_common(10)],
            filter=wanted.filter,
            depth=wanted.depth,
            concurrency=wanted.concurrency,
            state=State.RUNNING,
            queries=len(chosen),
            created_at=now,
            created_by=call.caller.identity,
            seen_at=now,
        )
        queries = [
            ExperimentQuery(position=number, run_id=run.run_id, query=run.query) for number, run in enumerate(chosen)
        ]
        await (await self._store.experiments()).add(made, queries, self._owner)
        self._run(made, call)
        return made

    async def get(self, experiment_id: str) -> Experiment:
        """Return an experiment.

        Raises:
            ServiceError: `EXPERIMENT_NOT_FOUND`.
        """
        found = None
        if self._store.is_there and experiment_id.isascii() and experiment_id.isprintable():
            found = await (await self._store.experiments()).get(experiment_id)
        if found is None:
            shown = experiment_id[:100]
            message = f"there is no experiment {shown!r}"
            raise ServiceError(Reason.EXPERIMENT_NOT_FOUND, message, metadata={"experiment_id": shown})
        return found

    async def cancel(self, experiment_id: str) -> Experiment:
        """Stop an experiment; one that has ended stays as it is.

        Raises:
            ServiceError: `EXPERIMENT_NOT_FOUND`.
        """
        await self.get(experiment_id)
        await (await self._store.experiments()).cancel(experiment_id)
        if (task := self._tasks.get(experiment_id)) is not None:
            task.cancel()
        return await self.get(experiment_id)

    async def resume(self, experiment_id: str, call: CallContext) -> Experiment:
        """Go on with an experiment whose process has gone.

        Raises:
            ServiceError: `EXPERIMENT_NOT_FOUND`, `EXPERIMENT_NOT_RUNNABLE` if it was not interrupted, `OVERLOADED`.
        """
        self._check_room()
        found = await self.get(experiment_id)
        if not await (await self._store.experiments()).take_over(experiment_id, self._owner):
            raise self._not_runnable(await self.get(experiment_id), "only one that was interrupted can be resumed")
        self._run(found, call)
        return await self.get(experiment_id)

    async def delete(self, experiment_id: str) -> None:
        """Delete an experiment.

        Raises:
            ServiceError: `EXPERIMENT_NOT_FOUND`, `EXPERIMENT_NOT_RUNNABLE` while it runs.
        """
        found = await self.get(experiment_id)
        if not await (await self._store.experiments()).delete(experiment_id):
            raise self._not_runnable(found, "cancel it first")

    async def close(self) -> None:
        """Stop running; what is not done is interrupted, and can be resumed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_room(self) -> None:
        if len(self._tasks) >= MOST_RUNNING:
            message = f"{MOST_RUNNING} experiments run here, as many as one process runs; try again later"
            raise ServiceError(Reason.OVERLOADED, message, metadata={"limit": "experiments"}, retry_after_s=30.0)

    async def _check_replayable(self, chosen: Sequence[Run], candidate: str) -> None:
        problem: ServiceError | None = None
        for run in chosen[:_TRIED]:
            try:
                replay_of(await self._runs.get(run.run_id), candidate)
            except ServiceError as error:
                problem = error
            else:
                return
        if problem is not None:
            raise problem

    def _run(self, experiment: Experiment, call: CallContext) -> None:
        name = experiment.experiment_id
        task = asyncio.create_task(self._run_logged(experiment, call), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _run_logged(self, experiment: Experiment, call: CallContext) -> None:
        from rerankd.evaluation.experiment_runner import ExperimentRunner

        try:
            tables = await self._store.experiments(), await self._store.judgements()
            await ExperimentRunner(*tables, self._runs, self._service).run(experiment, self._owner, call)
        except Exception:  # a fault of ours ends this experiment, not the service
            _log.exception("experiment interrupted; it can be resumed", experiment_id=experiment.experiment_id)

    def _not_runnable(self, experiment: Experiment, advice: str) -> ServiceError:
        state = experiment.state_at(self._clock())
        name = experiment.experiment_id
        message = f"experiment {name} is {state}; {advice}"
        return ServiceError(
            Reason.EXPERIMENT_NOT_RUNNABLE, message, metadata={"experiment_id": name, "state": state.value}
        )
