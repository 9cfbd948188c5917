"""`EvaluationService`: judgements, feedback, replay and experiments, for callers who have been admitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from rerankd.access.model_bounds import ModelBounds, bounds_of, require_run
from rerankd.contract import evaluation_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.messages import GetModelRequest
from rerankd.contract.service import RerankService
from rerankd.evaluation import message_conversion as convert
from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.evaluation.experiment import Experiment, State
from rerankd.evaluation.experiments import Experiments
from rerankd.evaluation.feedback import check_feedback, subject_of
from rerankd.evaluation.judgements.judgement import Judgement, Source, labels_of
from rerankd.evaluation.judgements.judging import deleted_subject, grades_of, listed_query, page_token, read_page_token
from rerankd.evaluation.measures.comparison import NO_LABELS, Labels, compare
from rerankd.evaluation.replay import Replay, replay_of, side_of_response
from rerankd.evaluation.retention import Retention
from rerankd.evaluation.run_lookup import RunLookup
from rerankd.evaluation.selection import (
    DEFAULT_CONCURRENCY,
    DEFAULT_RUNS,
    check_depth,
    check_experiment,
    filter_of,
    stored_selection,
)
from rerankd.evaluation.settings import EvaluationSettings
from rerankd.runs.run_reading import ReadableRuns
from rerankd.store.faults import store_faults

_DEFAULT_PAGE_SIZE: Final = 100
_MAX_PAGE_SIZE: Final = 1000

_log = structlog.get_logger("rerankd.evaluation")


class StoredEvaluation:
    """Answers by the store and by replays. Satisfies `EvaluationService`. For one event loop; its creator closes it.

    Args:
        store: Judgements and experiments.
        runs: The run log.
        service: Reranks; every replay is a call of it.
        settings: How long they are kept.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        store: EvaluationStore,
        runs: ReadableRuns,
        service: RerankService,
        settings: EvaluationSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runs = RunLookup(runs)
        self._service = service
        self._clock = clock
        self._experiments = Experiments(store, self._runs, service, clock)
        self._retention = Retention(settings or EvaluationSettings(), store, clock)

    def start(self) -> None:
        """Delete what is old from time to time."""
        self._retention.start()

    async def send_feedback(
        self, request: messages.SendFeedbackRequest, call: CallContext
    ) -> messages.SendFeedbackResponse:
        """Take a grade or a click."""
        check_feedback(request)
        with store_faults():
            run = await self._runs.get_any(request.run_id, call.caller.identity)
            require_run(call.caller, run.asked, run.key_id)
            subject = subject_of(run, request)
            table = await self._store.judgements()
            if request.grade is None:
                await table.click(subject)
            else:
                await table.judge([(subject, request.grade)], Source.FEEDBACK)
            found = await table.get(subject)
        return messages.SendFeedbackResponse(judgement=None if found is None else convert.judgement_message(found))

    async def set_judgements(
        self, request: messages.SetJudgementsRequest, call: CallContext
    ) -> messages.SetJudgementsResponse:
        """Store judgements."""
        grades = grades_of(request)
        with store_faults():
            stored = await (await self._store.judgements()).judge(grades, Source.API)
        _log.info("judgements stored", judgements=stored, by=call.caller.identity)
        return messages.SetJudgementsResponse(stored=stored)

    async def list_judgements(
        self, request: messages.ListJudgementsRequest, call: CallContext
    ) -> messages.ListJudgementsResponse:
        """List one page of judgements; a caller who may use some models only must name the query.

        Judgements name no model, and their queries may come from runs that such a caller may not see.
        """
        size, query_hash = _page_size(request.page_size), listed_query(request)
        if not query_hash and bounds_of(call.caller).is_limited:
            raise _must_name_query()
        after = read_page_token(request.page_token) if request.page_token else None
        source = "" if request.source is messages.JudgementSource.UNSPECIFIED else request.source.value
        found: list[Judgement] = []
        with store_faults():
            if self._store.is_there:
                table = await self._store.judgements()
                found = await table.page(after, size + 1, query_hash=query_hash, source=source)
        token = page_token(*found[size - 1].key) if len(found) > size else ""
        listed = [convert.judgement_message(each) for each in found[:size]]
        return messages.ListJudgementsResponse(judgements=listed, next_page_token=token)

    async def delete_judgement(
        self, request: messages.DeleteJudgementRequest, call: CallContext
    ) -> messages.DeleteJudgementResponse:
        """Delete a judgement; nothing where there is none."""
        subject = deleted_subject(request)
        with store_faults():
            if self._store.is_there and await (await self._store.judgements()).delete(subject):
                _log.info("judgement deleted", query_hash=subject.query_hash, by=call.caller.identity)
        return messages.DeleteJudgementResponse()

    async def replay_run(self, request: messages.ReplayRunRequest, call: CallContext) -> messages.ReplayRunResponse:
        """Run a logged run again and compare."""
        depth = check_depth(request.depth)
        with store_faults():
            run = await self._runs.get_any(request.run_id, call.caller.identity)
            require_run(call.caller, run.asked, run.key_id)
            replay = replay_of(run, request.model)
            labels = await self._labels(replay)
        response = await self._service.rerank(replay.request, replay.context_of(call))
        results = [
            messages.ReplayedResult(index=index, relevance_score=result.relevance_score)
            for index, result in zip(
                replay.order_of([result.index for result in response.results]), response.results, strict=True
            )
        ]
        comparison = compare(replay.order, [result.index for result in results], labels, depth)
        return messages.ReplayRunResponse(
            id=response.id,
            replay_of=run.run_id,
            results=results,
            comparison=convert.comparison_message(comparison),
            before=convert.figures_message(replay.side),
            after=convert.figures_message(side_of_response(response)),
        )

    async def create_experiment(
        self, request: messages.CreateExperimentRequest, call: CallContext
    ) -> messages.CreateExperimentResponse:
        """Choose runs and begin to replay them."""
        check_experiment(request)
        if request.candidate:
            await self._service.get_model(GetModelRequest(model=request.candidate), call)
        selection = request.runs or messages.RunSelection()
        wanted = Experiment(
            experiment_id="",
            name=request.name,
            candidate=request.candidate,
            baseline=(),
            filter=stored_selection(selection),
            depth=check_depth(request.depth),
            concurrency=DEFAULT_CONCURRENCY if request.concurrency is None else request.concurrency,
            state=State.RUNNING,
            queries=0,
            created_at=0.0,
            created_by="",
            seen_at=0.0,
        )
        most = DEFAULT_RUNS if selection.max_runs is None else selection.max_runs
        with store_faults():
            chosen = await self._runs.choose(filter_of(selection), most, bounds_of(call.caller).allows)
            made = await self._experiments.begin(wanted, chosen, call)
        _log.info("experiment begun", experiment_id=made.experiment_id, runs=made.queries, by=made.created_by)
        return messages.CreateExperimentResponse(experiment=self._message(made))

    async def list_experiments(
        self, request: messages.ListExperimentsRequest, call: CallContext
    ) -> messages.ListExperimentsResponse:
        """List one page of experiments; of a caller who may use some models it may hold fewer than asked for."""
        size = _page_size(request.page_size)
        found: list[Experiment] = []
        with store_faults():
            if self._store.is_there:
                after = await self._experiments.get(request.page_token) if request.page_token else None
                found = await (await self._store.experiments()).page(after, size + 1)
        token = found[size - 1].experiment_id if len(found) > size else ""
        return messages.ListExperimentsResponse(
            experiments=[self._message(each) for each in found[:size] if _is_within(each, bounds_of(call.caller))],
            next_page_token=token,
        )

    async def get_experiment(
        self, request: messages.GetExperimentRequest, call: CallContext
    ) -> messages.GetExperimentResponse:
        """Return an experiment."""
        with store_faults():
            found = await self._admitted(request.experiment_id, call)
        return messages.GetExperimentResponse(experiment=self._message(found))

    async def list_experiment_queries(
        self, request: messages.ListExperimentQueriesRequest, call: CallContext
    ) -> messages.ListExperimentQueriesResponse:
        """List one page of compared queries, the worst first."""
        size, skip = _page_size(request.page_size), request.page_token or "0"
        if not skip.isdecimal() or len(skip) > 6:
            raise invalid_request([FieldViolation("page_token", "page_token must be the token of an earlier answer")])
        with store_faults():
            found = await self._admitted(request.experiment_id, call)
            table = await self._store.experiments()
            worst = await table.worst(found.experiment_id, skip=int(skip), size=size + 1)
            known = await self._runs.known([each.run_id for each in worst[:size]])
        token = str(int(skip) + size) if len(worst) > size else ""
        listed = [convert.query_message(each, has_run=each.run_id in known) for each in worst[:size]]
        return messages.ListExperimentQueriesResponse(queries=listed, next_page_token=token)

    async def cancel_experiment(
        self, request: messages.CancelExperimentRequest, call: CallContext
    ) -> messages.CancelExperimentResponse:
        """Stop an experiment."""
        with store_faults():
            await self._admitted(request.experiment_id, call)
            found = await self._experiments.cancel(request.experiment_id)
        return messages.CancelExperimentResponse(experiment=self._message(found))

    async def resume_experiment(
        self, request: messages.ResumeExperimentRequest, call: CallContext
    ) -> messages.ResumeExperimentResponse:
        """Go on with an interrupted experiment."""
        with store_faults():
            await self._admitted(request.experiment_id, call)
            found = await self._experiments.resume(request.experiment_id, call)
        return messages.ResumeExperimentResponse(experiment=self._message(found))

    async def delete_experiment(
        self, request: messages.DeleteExperimentRequest, call: CallContext
    ) -> messages.DeleteExperimentResponse:
        """Delete an experiment."""
        with store_faults():
            await self._admitted(request.experiment_id, call)
            await self._experiments.delete(request.experiment_id)
        _log.info("experiment deleted", experiment_id=request.experiment_id, by=call.caller.identity)
        return messages.DeleteExperimentResponse()

    async def close(self) -> None:
        """Stop running experiments, and deletions."""
        await self._retention.close()
        await self._experiments.close()

    async def _admitted(self, experiment_id: str, call: CallContext) -> Experiment:
        """Return an experiment whose models the caller may all use.

        Raises:
            ServiceError: `EXPERIMENT_NOT_FOUND`, `MODEL_NOT_ALLOWED`.
        """
        found = await self._experiments.get(experiment_id)
        for name in _models_of(found):
            bounds_of(call.caller).require(name)
        return found

    async def _labels(self, replay: Replay) -> Labels:
        if not self._store.is_there:
            return NO_LABELS
        known = await (await self._store.judgements()).of_queries([replay.query_hash])
        return labels_of(known.get(replay.query_hash, ()), replay.documents)

    def _message(self, experiment: Experiment) -> messages.Experiment:
        return convert.experiment_message(experiment, self._clock())


def _must_name_query() -> ServiceError:
    message = (
        "the caller may use some models only, and judgements of all queries show those of others; name the query whose "
        "judgements to list, by query or query_hash"
    )
    return ServiceError(Reason.MODEL_NOT_ALLOWED, message)


def _models_of(experiment: Experiment) -> list[str]:
    """Return the models and rerankers that an experiment compares."""
    return [*experiment.baseline, *([experiment.candidate] if experiment.candidate else [])]


def _is_within(experiment: Experiment, bounds: ModelBounds) -> bool:
    return all(map(bounds.allows, _models_of(experiment)))


def _page_size(given: int | None) -> int:
    size = _DEFAULT_PAGE_SIZE if given is None else given
    if not 1 <= size <= _MAX_PAGE_SIZE:
        rule = f"page_size must be 1 to {_MAX_PAGE_SIZE}, was {size}"
        raise invalid_request([FieldViolation("page_size", rule)])
    return size
