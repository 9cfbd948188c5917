"""What holds of stored experiments on both databases."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from rerankd.evaluation.experiment import (
    STALE_S,
    Experiment,
    ExperimentQuery,
    QueryState,
    Side,
    State,
    new_experiment_id,
)
from rerankd.evaluation.experiment_summary import summarise_experiment
from rerankd.evaluation.experiment_table import ExperimentTable
from rerankd.evaluation.measures.comparison import Labels, compare
from rerankd.store.database import Database
from tests.support.engines import Clock

OWNER = "process 1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(database: Database, clock: Clock) -> ExperimentTable:
    return ExperimentTable(database, clock)


def experiment(clock: Clock, **more: object) -> Experiment:
    made = Experiment(
        experiment_id=new_experiment_id(),
        name="words or neural",
        candidate="local/default",
        baseline=["local/bm25"],
        filter={"model": "local/bm25", "from": 1.5},
        depth=10,
        concurrency=4,
        state=State.RUNNING,
        queries=3,
        created_at=clock(),
        created_by="team",
        seen_at=clock(),
    )
    return replace(made, **more)


QUERIES = [ExperimentQuery(position=number, run_id=f"run {number}", query=f"q{number}") for number in range(3)]


def ended(position: int, *, is_better: bool) -> ExperimentQuery:
    orders = ([1, 0], [0, 1]) if is_better else ([0, 1], [1, 0])
    return replace(
        QUERIES[position],
        state=QueryState.DONE,
        before=Side("local/bm25", 1.5, None, 0),
        after=Side("local/default", 20.0, 0.001, 2),
        comparison=compare(*orders, Labels({0: 1}, [1]), 10),
    )


async def end(table: ExperimentTable, found: Experiment, query: ExperimentQuery, owner: str = OWNER) -> bool:
    badness = None if query.comparison is None else query.comparison.badness
    return await table.end_query(found.experiment_id, owner, query, badness)


async def test_an_experiment_comes_back_as_it_was_made(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    assert await table.get(made.experiment_id) == made
    assert await table.get("exp_unknown") is None
    assert await table.queries(made.experiment_id, state=QueryState.PENDING, after=-1, size=2) == QUERIES[:2]
    assert await table.queries(made.experiment_id, state=QueryState.PENDING, after=1, size=2) == QUERIES[2:]


async def test_queries_end_one_by_one_and_the_worst_come_first(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    better, worse = ended(0, is_better=True), ended(2, is_better=False)
    skipped = replace(QUERIES[1], state=QueryState.SKIPPED, reason="RUN_NOT_REPLAYABLE", message="cut")
    for query in (better, skipped, worse):
        assert await end(table, made, query)
    assert (await table.get(made.experiment_id) or made).ended == 3
    assert await table.worst(made.experiment_id, skip=0, size=9) == [worse, better]
    assert await table.worst(made.experiment_id, skip=1, size=9) == [better]
    assert await table.queries(made.experiment_id, state=QueryState.SKIPPED, after=-1, size=9) == [skipped]


async def test_an_experiment_that_has_ended_never_changes(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    await end(table, made, ended(0, is_better=True))
    summary = await summarise_experiment([ended(0, is_better=True)], 10)
    clock.now_s += 5
    assert await table.finish(made.experiment_id, OWNER, summary)
    done = await table.get(made.experiment_id)
    assert done == replace(made, state=State.DONE, ended=1, ended_at=clock(), summary=summary)
    clock.now_s += STALE_S + 1
    assert not await end(table, made, ended(1, is_better=True))
    assert not await table.finish(made.experiment_id, OWNER, summary)
    assert not await table.cancel(made.experiment_id)
    assert not await table.take_over(made.experiment_id, "process 2")
    assert not await table.is_alive(made.experiment_id, OWNER)
    assert await table.get(made.experiment_id) == done


async def test_a_cancelled_experiment_takes_no_more_outcomes(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    assert await table.cancel(made.experiment_id)
    assert not await end(table, made, ended(0, is_better=True))
    found = await table.get(made.experiment_id)
    assert found is not None
    assert (found.state, found.ended, found.summary) == (State.CANCELLED, 0, None)


async def test_only_an_interrupted_experiment_is_taken_over_and_by_one(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    clock.now_s += STALE_S - 1
    assert not await table.take_over(made.experiment_id, "process 2")
    assert await table.is_alive(made.experiment_id, OWNER)
    clock.now_s += STALE_S - 1
    assert not await table.take_over(made.experiment_id, "process 2")
    clock.now_s += 2
    found = await table.get(made.experiment_id)
    assert found is not None
    assert found.state_at(clock()) is State.INTERRUPTED
    owners = [f"process {number}" for number in range(2, 6)]
    taken = await asyncio.gather(*(table.take_over(made.experiment_id, owner) for owner in owners))
    assert sum(taken) == 1
    assert not await end(table, made, ended(0, is_better=True))
    assert await end(table, made, ended(0, is_better=True), owners[taken.index(True)])


async def test_pages_of_experiments_begin_with_the_newest(table: ExperimentTable, clock: Clock) -> None:
    made = []
    for number in range(5):
        clock.now_s += number % 2  # some at the same time
        made.append(experiment(clock))
        await table.add(made[-1], QUERIES, OWNER)
    first = await table.page(None, 3)
    rest = await table.page(first[-1], 3)
    assert len(rest) == 2
    assert sorted(made, key=lambda each: (each.created_at, each.experiment_id), reverse=True) == [*first, *rest]


async def test_only_an_experiment_that_does_not_run_is_deleted(table: ExperimentTable, clock: Clock) -> None:
    made = experiment(clock)
    await table.add(made, QUERIES, OWNER)
    assert not await table.delete(made.experiment_id)
    await table.cancel(made.experiment_id)
    assert await table.delete(made.experiment_id)
    assert not await table.delete(made.experiment_id)
    assert await table.queries(made.experiment_id, state=QueryState.PENDING, after=-1, size=9) == []
