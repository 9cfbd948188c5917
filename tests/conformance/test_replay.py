"""Experiments on both databases: runs of a real engine, replayed and compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from rerankd.contract import evaluation_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.evaluation.evaluation_service import StoredEvaluation
from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.evaluation.experiment import (
    STALE_S,
    Experiment,
    ExperimentQuery,
    QueryState,
    State,
    new_experiment_id,
)
from rerankd.evaluation.experiment_runner import ExperimentRunner
from rerankd.evaluation.experiment_table import ExperimentTable
from rerankd.evaluation.experiments import MOST_RUNNING, Experiments
from rerankd.evaluation.judgements.judgement import Source, Subject
from rerankd.evaluation.judgements.table import JudgementTable
from rerankd.evaluation.measures.ranking import ndcg
from rerankd.evaluation.replay import replay_of
from rerankd.evaluation.run_lookup import RunLookup
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import RunPage
from rerankd.runs.run_store import RunStore
from rerankd.runs.stored_runs import StoredRuns
from rerankd.store.database import Database
from rerankd.store.migrating import migrate
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from tests.support.engines import Clock
from tests.support.logged_runs import CALL, EARLIER, WORDS, LoggedEngine, logged_engine
from tests.support.runs import rows_of

OWNER = "process 1"
DOCUMENTS = [
    ("the solar sail", 1.0, 0),
    ("a sail of the sun", 3.0, 2),
    ("solar solar sail sail", 2.0, 3),
    ("soil", 4.0, 1),
]
"""Text, earlier score and grade."""


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[LoggedEngine]:
    async with logged_engine() as engine:
        yield engine


@pytest.fixture
def experiments(database: Database) -> ExperimentTable:
    return ExperimentTable(database)


@pytest.fixture
def judgements(database: Database) -> JudgementTable:
    return JudgementTable(database)


async def log(engine: LoggedEngine, count: int) -> list[Run]:
    """Rerank the same documents for several queries, each without some of them."""
    runs = []
    for number in range(count):
        texts = [*DOCUMENTS[number % 3 :], *DOCUMENTS[: number % 2]]
        documents: list[str | Document] = [
            Document(id=text.split()[-1], text=text, prior_score=score) for text, score, _ in texts
        ]
        runs.append(await engine.rerank(f"solar sail {number}", documents))
    return runs


async def begin(experiments: ExperimentTable, runs: list[Run], **more: Any) -> Experiment:
    made = Experiment(
        experiment_id=new_experiment_id(), name="", candidate=EARLIER, baseline=[], filter={}, depth=10, concurrency=2,
        state=State.RUNNING, queries=len(runs), created_at=1.0, created_by="", seen_at=1.0,
    )  # fmt: skip
    made = replace(made, **more)
    queries = [ExperimentQuery(position=number, run_id=run.run_id) for number, run in enumerate(runs)]
    await experiments.add(made, queries, OWNER)
    return made


async def found(experiments: ExperimentTable, experiment: Experiment) -> Experiment:
    again = await experiments.get(experiment.experiment_id)
    assert again is not None
    return again


async def test_the_difference_of_ndcg_is_that_of_the_labels(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    runs = await log(engine, 12)
    grades = {text: grade for text, _, grade in DOCUMENTS}
    for run in runs:
        await judgements.judge([(Subject.of(run.query, text), grade) for text, grade in grades.items()], Source.IMPORT)
    experiment = await begin(experiments, runs)

    await ExperimentRunner(experiments, judgements, engine.runs, engine.service).run(experiment, OWNER, CALL)

    direct = []
    for run in runs:
        assert run.details is not None
        texts = {each.index: each.text for each in run.details.documents}
        scores = {text: score for text, score, _ in DOCUMENTS}
        before = [grades[texts[each.index]] for each in run.details.results]
        after = [grades[text] for text in sorted(texts.values(), key=scores.__getitem__, reverse=True)]
        direct.append((ndcg(after, grades.values()) or 0) - (ndcg(before, grades.values()) or 0))
    done = await found(experiments, experiment)
    assert done.state is State.DONE
    assert done.summary is not None
    assert done.summary.measures.ndcg is not None
    assert done.summary.measures.ndcg.difference.mean == pytest.approx(sum(direct) / len(direct), abs=1e-12)
    assert done.summary.measures.ndcg.queries == 12
    worst = await experiments.worst(experiment.experiment_id, skip=0, size=12)
    differences = [query.comparison.ndcg.difference for query in worst if query.comparison and query.comparison.ndcg]
    assert differences == sorted(differences) == pytest.approx(sorted(direct))


async def test_replays_are_runs_of_their_own(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    runs = await log(engine, 3)
    experiment = await begin(experiments, runs)

    await ExperimentRunner(experiments, judgements, engine.runs, engine.service).run(experiment, OWNER, CALL)

    replays = [run for run in engine.runs.runs.values() if run.replay_of]
    assert sorted(run.replay_of for run in replays) == sorted(run.run_id for run in runs)
    assert {(run.source, run.experiment_id, run.reranker) for run in replays} == {
        ("replay", experiment.experiment_id, EARLIER)
    }
    for replay in replays:
        origin = engine.runs.runs[replay.replay_of]
        assert replay.details is not None
        assert origin.details is not None
        assert {each.id: each for each in replay.details.documents} == {
            each.id: each for each in origin.details.documents
        }


async def test_a_stored_request_is_sent_again_as_it_came(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable, settings: StoreSettings
) -> None:
    documents: list[str | Document] = [
        Document(id="a", text="the solar sail", metadata={"date": "2026-01-31", "tags": [None, 1.5]}),
        Document(text="unread", fields={"title": "solar", "rest": {"deep": [True]}}, prior_score=0.5),
        " ",
        Document(id="blank", metadata={"kept": 1}),
        Document(fields={"other": "soil"}),
        "sail",
    ]
    asked: dict[str, Any] = {"rank_fields": ["title"], "top_n": 5, "return_documents": True, "priority": 3}
    request = RerankRequest(model=WORDS, query="solar sail", documents=documents, **asked)
    await engine.service.rerank(request, replace(CALL, ranks_blank_last=True))
    (run,) = engine.runs.runs.values()
    store = await asyncio.to_thread(RunStore, settings)
    await asyncio.to_thread(store.insert, rows_of([run]))
    store.close()
    database = LazyDatabase(settings)
    stored = StoredRuns(database)
    experiment = await begin(experiments, [run], candidate="")

    await ExperimentRunner(experiments, judgements, RunLookup(stored), engine.service).run(experiment, OWNER, CALL)

    await database.close()
    (replay,) = [each for each in engine.runs.runs.values() if each.replay_of == run.run_id]
    assert run.details is not None
    assert replay.details is not None
    assert replay_of(replay, "").request == replace(request, priority=999)
    assert replay.details.results == run.details.results
    assert len(run.details.results) == 5


async def test_what_cannot_be_replayed_is_skipped_and_what_fails_is_counted(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    runs = await log(engine, 3)
    runs[1].capture = "hashes"
    experiment = await begin(experiments, [*runs, replace(runs[0], run_id="deleted")], candidate="unknown")

    await ExperimentRunner(experiments, judgements, engine.runs, engine.service).run(experiment, OWNER, CALL)

    done = await found(experiments, experiment)
    assert done.summary is not None
    assert (done.state, done.ended, done.summary.measures.queries) == (State.DONE, 4, 0)
    assert done.summary.reasons == {"MODEL_NOT_FOUND": 2, "RUN_INCOMPLETE": 1, "RUN_NOT_FOUND": 1}
    assert (done.summary.failed, done.summary.skipped) == (2, 2)
    (skipped, _) = await experiments.queries(experiment.experiment_id, state=QueryState.SKIPPED, after=-1, size=9)
    assert "runs.capture was hashes" in skipped.message


class SlowService:
    """Reranks by the engine; counts calls at once, and calls `on_call` before each."""

    def __init__(self, engine: LoggedEngine, on_call: Any = None) -> None:
        self._engine = engine
        self._on_call = on_call
        self.running = self.most = self.calls = 0

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self._on_call is not None:
                await self._on_call(self.calls)
            await asyncio.sleep(0)
            return await self._engine.service.rerank(request, call)
        finally:
            self.running -= 1


async def test_no_more_calls_are_under_way_than_asked_for(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    service: Any = SlowService(engine)
    experiment = await begin(experiments, await log(engine, 9), concurrency=3)

    await ExperimentRunner(experiments, judgements, engine.runs, service).run(experiment, OWNER, CALL)

    assert (service.most, service.calls) == (3, 9)


async def test_a_cancelled_experiment_stops(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    experiment = await begin(experiments, await log(engine, 9), concurrency=1)

    async def cancel(calls: int) -> None:
        if calls == 4:
            await experiments.cancel(experiment.experiment_id)

    service: Any = SlowService(engine, cancel)
    await ExperimentRunner(experiments, judgements, engine.runs, service).run(experiment, OWNER, CALL)

    assert service.calls < 7
    stopped = await found(experiments, experiment)
    assert (stopped.state, stopped.ended, stopped.summary) == (State.CANCELLED, 3, None)


async def test_an_interrupted_experiment_goes_on_where_it_stood(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    experiment = await begin(experiments, await log(engine, 9), concurrency=1)
    is_reached = asyncio.Event()

    async def hang(calls: int) -> None:
        if calls == 5:
            is_reached.set()
            await asyncio.Event().wait()

    first: Any = SlowService(engine, hang)
    running = asyncio.create_task(
        ExperimentRunner(experiments, judgements, engine.runs, first).run(experiment, OWNER, CALL)
    )
    await is_reached.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await found(experiments, experiment)).ended == 4

    second: Any = SlowService(engine)
    await ExperimentRunner(experiments, judgements, engine.runs, second).run(experiment, OWNER, CALL)

    done = await found(experiments, experiment)
    assert (done.state, done.ended, second.calls) == (State.DONE, 9, 5)
    assert done.summary is not None
    assert done.summary.measures.queries == 9


async def test_full_limits_are_waited_for(
    engine: LoggedEngine, experiments: ExperimentTable, judgements: JudgementTable
) -> None:
    experiment = await begin(experiments, await log(engine, 2), concurrency=1)

    async def refuse(calls: int) -> None:
        if calls in (1, 2):
            raise ServiceError(Reason.OVERLOADED, "full", retry_after_s=0.01)

    service: Any = SlowService(engine, refuse)
    await ExperimentRunner(experiments, judgements, engine.runs, service).run(experiment, OWNER, CALL)

    done = await found(experiments, experiment)
    assert done.summary is not None
    assert (done.summary.measures.queries, done.summary.failed, service.calls) == (2, 0, 4)


class ReadableRuns:
    """Gives the runs in memory as the run log does."""

    def __init__(self, engine: LoggedEngine) -> None:
        self._runs = engine.runs.runs

    async def get(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    async def page(self, wanted: RunFilter, size: int, before: str = "", *, with_details: bool = False) -> RunPage:
        newest = sorted(self._runs.values(), key=lambda run: run.run_id, reverse=True)
        found = [run for run in newest if not before or run.run_id < before]
        page = [run for run in found if not wanted.user or run.user == wanted.user][:size]
        return RunPage(page, page[-1].run_id if page else "")

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        return self._runs.keys() & set(run_ids)


WANTED = Experiment(
    experiment_id="", name="", candidate=EARLIER, baseline=[], filter={}, depth=10, concurrency=1,
    state=State.RUNNING, queries=0, created_at=0.0, created_by="", seen_at=0.0,
)  # fmt: skip


async def test_what_a_process_leaves_is_resumed_by_another(engine: LoggedEngine, settings: StoreSettings) -> None:
    clock, is_reached = Clock(), asyncio.Event()
    runs = RunLookup(ReadableRuns(engine))
    chosen = await log(engine, 6)
    await migrated(settings)

    async def hang(calls: int) -> None:
        if calls == 3:
            is_reached.set()
            await asyncio.Event().wait()

    database, slow = LazyDatabase(settings), SlowService(engine, hang)
    store = EvaluationStore(database, clock)
    first = Experiments(store, runs, slow, clock)  # type: ignore[arg-type]  # a slow one
    begun = await first.begin(WANTED, chosen, CALL)
    await is_reached.wait()
    await first.close()
    await database.close()

    database = LazyDatabase(settings)
    store = EvaluationStore(database, clock)
    second = Experiments(store, runs, engine.service, clock)
    with pytest.raises(ServiceError, match="is running; only one that was interrupted can be resumed"):
        await second.resume(begun.experiment_id, CALL)
    clock.now_s += STALE_S + 1
    assert (await second.get(begun.experiment_id)).state_at(clock()) is State.INTERRUPTED
    await second.resume(begun.experiment_id, CALL)
    while (done := await second.get(begun.experiment_id)).state is State.RUNNING:
        await asyncio.sleep(0.01)
    assert (done.state, done.ended, slow.calls) == (State.DONE, 6, 3)
    await second.close()
    await database.close()


async def test_one_process_runs_few_experiments_at_once(engine: LoggedEngine, settings: StoreSettings) -> None:
    chosen = await log(engine, 1)
    await migrated(settings)

    async def hang(_calls: int) -> None:
        await asyncio.Event().wait()

    database = LazyDatabase(settings)
    store = EvaluationStore(database)
    experiments = Experiments(store, RunLookup(ReadableRuns(engine)), SlowService(engine, hang))  # type: ignore[arg-type]  # a slow one
    begun = [await experiments.begin(WANTED, chosen, CALL) for _ in range(MOST_RUNNING)]
    with pytest.raises(ServiceError, match="4 experiments run here") as refused:
        await experiments.begin(WANTED, chosen, CALL)
    assert refused.value.reason is Reason.OVERLOADED
    assert (await experiments.cancel(begun[0].experiment_id)).state is State.CANCELLED
    await asyncio.sleep(0)
    while True:
        try:
            await experiments.begin(WANTED, chosen, CALL)
        except ServiceError:
            await asyncio.sleep(0.01)
        else:
            break
    await experiments.close()
    await database.close()


async def test_an_experiment_of_incomplete_runs_does_not_begin(engine: LoggedEngine, settings: StoreSettings) -> None:
    chosen = await log(engine, 3)
    for run in chosen:
        run.capture = "hashes"
    await migrated(settings)
    database = LazyDatabase(settings)
    store = EvaluationStore(database)
    experiments = Experiments(store, RunLookup(ReadableRuns(engine)), engine.service)
    with pytest.raises(ServiceError, match="capture was hashes"):
        await experiments.begin(WANTED, chosen, CALL)
    assert await (await store.experiments()).page(None, 9) == []
    chosen[2].capture = "full"
    begun = await experiments.begin(WANTED, chosen, CALL)
    while (done := await experiments.get(begun.experiment_id)).state is State.RUNNING:
        await asyncio.sleep(0.01)
    assert done.summary is not None
    assert (done.summary.skipped, done.summary.measures.queries) == (2, 1)
    await experiments.close()
    await database.close()


async def test_a_compared_query_says_that_its_run_was_deleted(engine: LoggedEngine, settings: StoreSettings) -> None:
    chosen = await log(engine, 3)
    await migrated(settings)
    database = LazyDatabase(settings)
    evaluation = StoredEvaluation(EvaluationStore(database), ReadableRuns(engine), engine.service)
    begun = (await evaluation.create_experiment(messages.CreateExperimentRequest(candidate=EARLIER), CALL)).experiment
    assert begun is not None
    asked = messages.GetExperimentRequest(experiment_id=begun.id)
    while (found := (await evaluation.get_experiment(asked, CALL)).experiment) is None or found.ended_at is None:
        await asyncio.sleep(0.01)
    del engine.runs.runs[chosen[1].run_id]

    listed = messages.ListExperimentQueriesRequest(experiment_id=begun.id)
    queries = (await evaluation.list_experiment_queries(listed, CALL)).queries

    assert {each.run_id: each.run_deleted for each in queries} == {run.run_id: run is chosen[1] for run in chosen}
    await evaluation.close()
    await database.close()


async def test_replays_are_not_chosen_again(engine: LoggedEngine) -> None:
    chosen = await log(engine, 3)
    replay = replace(chosen[1], run_id="ffff", replay_of=chosen[0].run_id)
    engine.runs.runs[replay.run_id] = replay
    found = await RunLookup(ReadableRuns(engine)).choose(RunFilter(), 2)
    assert [run.run_id for run in found] == sorted((run.run_id for run in chosen), reverse=True)[:2]


async def migrated(settings: StoreSettings) -> None:
    database = Database(settings)
    await migrate(database)
    await database.close()
