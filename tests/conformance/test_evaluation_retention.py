"""What is deleted of experiments and judgements, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from rerankd.evaluation import experiment_table
from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.evaluation.experiment import STALE_S, Experiment, ExperimentQuery, State, new_experiment_id
from rerankd.evaluation.experiment_table import ExperimentTable
from rerankd.evaluation.judgements import table as judgement_table
from rerankd.evaluation.judgements.judgement import Source, Subject
from rerankd.evaluation.judgements.table import JudgementTable
from rerankd.evaluation.retention import Retention
from rerankd.evaluation.settings import EvaluationSettings
from rerankd.store.database import Database
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from tests.support.engines import Clock

DAY_S = 86_400.0
NOW = 1_700_000_000.0
EXPERIMENT = Experiment(
    experiment_id="", name="", candidate="", baseline=[], filter={}, depth=10, concurrency=1, state=State.DONE,
    queries=0, created_at=0.0, created_by="", seen_at=0.0,
)  # fmt: skip


async def add(table: ExperimentTable, days_ago: float, *, state: State = State.DONE, queries: int = 3) -> str:
    """Add an experiment that began, and ended or was last seen, so many days before `NOW`."""
    at = NOW - days_ago * DAY_S
    made = replace(EXPERIMENT, experiment_id=new_experiment_id(), state=state, created_at=at, seen_at=at)
    made = replace(made, queries=queries, ended_at=None if state is State.RUNNING else at)
    await table.add(made, [ExperimentQuery(position=number, run_id="r") for number in range(queries)], "owner")
    return made.experiment_id


def retention(settings: StoreSettings, **kept: Any) -> tuple[Retention, LazyDatabase]:
    database, clock = LazyDatabase(settings), Clock()
    clock.now_s = NOW
    return Retention(EvaluationSettings(**kept), EvaluationStore(database, clock), clock), database


async def test_experiments_go_by_their_end_and_judgements_by_their_last_change(
    settings: StoreSettings, database: Database
) -> None:
    experiments, clock = ExperimentTable(database), Clock()
    judgements = JudgementTable(database, clock)
    old = [await add(experiments, days, state=State.DONE) for days in (11, 9)]
    cancelled = await add(experiments, 12, state=State.CANCELLED)
    interrupted = await add(experiments, 30, state=State.RUNNING)
    running = await add(experiments, 0, state=State.RUNNING)
    for name, days, source in (("a", 6, Source.FEEDBACK), ("b", 4, Source.FEEDBACK), ("c", 6, Source.API)):
        clock.now_s = NOW - days * DAY_S
        await judgements.judge([(Subject.of("q", name), 1)], source)
    clock.now_s = NOW - 6 * DAY_S
    await judgements.click(Subject.of("q", "d"))
    kept = {"keep_experiments_days": 10, "keep_feedback_days": 5}
    found, opened = retention(settings, **kept)

    assert await found.delete_old() == 3 * 4 + 2

    left = {each.experiment_id for each in await experiments.page(None, 9)}
    assert left == {old[1], running}
    assert not left & {cancelled, interrupted, old[0]}
    assert [each.source for each in await judgements.page(None, 9)] in (
        [Source.FEEDBACK, Source.API],
        [Source.API, Source.FEEDBACK],
    )
    assert await found.delete_old() == 0
    await opened.close()


async def test_nothing_goes_without_an_age(settings: StoreSettings, database: Database) -> None:
    await add(ExperimentTable(database), 5000)
    clock = Clock()
    clock.now_s = NOW - 5000 * DAY_S
    for source in (Source.API, Source.FEEDBACK):
        await JudgementTable(database, clock).judge([(Subject.of("q", source.value), 1)], source)
    never, opened = retention(settings, keep_experiments_days=None, keep_feedback_days=None)
    assert await never.delete_old() == 0
    await opened.close()
    by_default, opened = retention(settings)
    assert await by_default.delete_old() == 4 + 1, "grades of judges stay"
    await opened.close()


async def test_a_running_experiment_stays_whatever_the_age(settings: StoreSettings, database: Database) -> None:
    table = ExperimentTable(database)
    running = await add(table, (STALE_S - 10) / DAY_S, state=State.RUNNING)
    found, opened = retention(settings, keep_experiments_days=1e-6)
    assert await found.delete_old() == 0
    assert await table.get(running) is not None
    await opened.close()


async def test_steps_are_small(settings: StoreSettings, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_table, "STEP", 2)
    monkeypatch.setattr(judgement_table, "STEP", 2)
    experiments, clock = ExperimentTable(database, lambda: NOW), Clock()
    await add(experiments, 10, queries=5)
    judgements = JudgementTable(database, clock)
    await judgements.judge([(Subject.of("q", str(number)), 1) for number in range(5)], Source.IMPORT)
    assert [await experiments.delete_before(NOW) for _ in range(5)] == [2, 2, 1, 1, 0]
    before = clock.now_s + 1
    assert [await judgements.delete_before(before, Source.IMPORT) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_store_that_cannot_be_used_is_said_once(empty: Database, settings: StoreSettings) -> None:
    """PostgreSQL has to be migrated first; SQLite is, by whoever opens it."""
    found, opened = retention(settings)
    with capture_logs() as lines:
        for _ in range(2):
            assert await found.delete_old() == 0
    said = [line["event"] for line in lines]
    assert said == ([] if empty.is_sqlite else ["old experiments and judgements cannot be deleted"])
    if empty.path is not None:
        assert not empty.path.exists(), "looking creates no file"
    await opened.close()
