"""Experiments in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    Table,
    Text,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from rerankd.evaluation.experiment import (
    STALE_S,
    Experiment,
    ExperimentQuery,
    ExperimentSummary,
    QueryState,
    State,
)
from rerankd.store.database import METADATA, Database

EXPERIMENTS: Final = Table(
    "experiments",
    METADATA,
    Column("experiment_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("baseline", JSON, nullable=False),
    Column("filter", JSON, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("queries", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("ended_at", Double, nullable=True),
    Column("owner", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("summary", JSON(none_as_null=True), nullable=True),
    Index("ix_experiments_created_at", "created_at", "experiment_id"),
)
EXPERIMENT_QUERIES: Final = Table(
    "experiment_queries",
    METADATA,
    Column("experiment_id", Text, ForeignKey("experiments.experiment_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("badness", Double, nullable=True),
    Column("outcome", JSON, nullable=False),
    Index("ix_experiment_queries_badness", "experiment_id", "badness", "position"),
)
_e: Final = EXPERIMENTS.c
_q: Final = EXPERIMENT_QUERIES.c
STEP: Final = 100
"""Queries that one step of a deletion removes."""
_NOT_OUTCOME: Final = frozenset({"position", "run_id", "state"})


class ExperimentTable:
    """Reads and changes experiments. Task-safe; every method is one transaction and raises `StoreError`.

    An experiment belongs to the process that runs it, its owner; nobody else changes it, and nobody at all once it has
    ended.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def add(self, experiment: Experiment, queries: Sequence[ExperimentQuery], owner: str) -> None:
        """Add a new experiment with its queries, n >= 1."""
        values = msgspec.to_builtins(experiment)
        row = {column.name: values.get(column.name) for column in _e} | {"owner": owner}
        async with self._database.begin() as connection:
            await connection.execute(insert(EXPERIMENTS), row)
            rows = [{"experiment_id": experiment.experiment_id, **_row_of(query)} for query in queries]
            await connection.execute(insert(EXPERIMENT_QUERIES), rows)

    async def get(self, experiment_id: str) -> Experiment | None:
        """Return an experiment; None where there is none."""
        found = await self._select(_e.experiment_id == experiment_id)
        return found[0] if found else None

    async def page(self, after: Experiment | None, size: int) -> list[Experiment]:
        """Return up to `size` experiments, the newest first, beginning after one of an earlier page."""
        if after is None:
            return await self._select(size=size)
        is_later = tuple_(_e.created_at, _e.experiment_id) < tuple_(after.created_at, after.experiment_id)
        return await self._select(is_later, size=size)

    async def queries(self, experiment_id: str, *, state: QueryState, after: int, size: int) -> list[ExperimentQuery]:
        """Return up to `size` queries in a state, in their order, the first one after the position `after`."""
        statement = select(EXPERIMENT_QUERIES).where(
            _q.experiment_id == experiment_id, _q.state == state.value, _q.position > after
        )
        return await self._queries(statement.order_by(_q.position).limit(size))

    async def worst(self, experiment_id: str, *, skip: int, size: int) -> list[ExperimentQuery]:
        """Return up to `size` compared queries, the worst first, after the worst `skip` ones."""
        statement = select(EXPERIMENT_QUERIES).where(_q.experiment_id == experiment_id, _q.badness.is_not(None))
        return await self._queries(statement.order_by(_q.badness, _q.position).offset(skip).limit(size))

    async def end_query(self, experiment_id: str, owner: str, query: ExperimentQuery, badness: float | None) -> bool:
        """Store the outcome of a query; return whether the experiment still runs, for this owner.

        Args:
            experiment_id: The experiment.
            owner: Who runs it.
            query: With its outcome.
            badness: Sorts the worst queries first; None for one that was not compared.
        """
        async with self._database.begin() as connection:
            mine = update(EXPERIMENTS).where(*_running(experiment_id, owner)).values(seen_at=self._clock())
            if not (await connection.execute(mine)).rowcount:
                return False
            change = update(EXPERIMENT_QUERIES).where(
                _q.experiment_id == experiment_id, _q.position == query.position, _q.state == QueryState.PENDING.value
            )
            await connection.execute(change.values(**_row_of(query), badness=badness))
            return True

    async def is_alive(self, experiment_id: str, owner: str) -> bool:
        """Say that the owner still runs an experiment; return whether it may."""
        mine = update(EXPERIMENTS).where(*_running(experiment_id, owner)).values(seen_at=self._clock())
        async with self._database.begin() as connection:
            return bool((await connection.execute(mine)).rowcount)

    async def finish(self, experiment_id: str, owner: str, summary: ExperimentSummary) -> bool:
        """End an experiment with what it found; return whether it was running, for this owner."""
        values = {"state": State.DONE.value, "ended_at": self._clock(), "summary": msgspec.to_builtins(summary)}
        async with self._database.begin() as connection:
            change = update(EXPERIMENTS).where(*_running(experiment_id, owner)).values(**values)
            return bool((await connection.execute(change)).rowcount)

    async def cancel(self, experiment_id: str) -> bool:
        """Cancel an experiment; return whether it was running. What has ended stays."""
        change = update(EXPERIMENTS).where(_e.experiment_id == experiment_id, _e.state == State.RUNNING.value)
        async with self._database.begin() as connection:
            ended = change.values(state=State.CANCELLED.value, ended_at=self._clock())
            return bool((await connection.execute(ended)).rowcount)

    async def take_over(self, experiment_id: str, owner: str) -> bool:
        """Give an interrupted experiment to another owner; return whether it was interrupted."""
        now = self._clock()
        change = update(EXPERIMENTS).where(
            _e.experiment_id == experiment_id, _e.state == State.RUNNING.value, _e.seen_at < now - STALE_S
        )
        async with self._database.begin() as connection:
            return bool((await connection.execute(change.values(owner=owner, seen_at=now))).rowcount)

    async def delete(self, experiment_id: str) -> bool:
        """Delete an experiment with its queries, not the runs; return whether there was one that has ended."""
        change = delete(EXPERIMENTS).where(
            _e.experiment_id == experiment_id,
            or_(_e.state != State.RUNNING.value, _e.seen_at < self._clock() - STALE_S),
        )
        async with self._database.begin() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def delete_before(self, ended_at: float) -> int:
        """Delete some queries of an experiment that ended before a time, or the experiment once it has none.

        One that was interrupted ended with its last sign of life. Returns how many rows were deleted.
        """
        latest = min(ended_at, self._clock() - STALE_S)
        is_old = case((_e.state == State.RUNNING.value, _e.seen_at < latest), else_=_e.ended_at < ended_at)
        oldest = select(_e.experiment_id).where(is_old).order_by(_e.created_at, _e.experiment_id).limit(1)
        async with self._database.begin() as connection:
            found = (await connection.execute(oldest)).scalar_one_or_none()
            if found is None:
                return 0
            some = select(_q.position).where(_q.experiment_id == found).order_by(_q.position).limit(STEP)
            queries = delete(EXPERIMENT_QUERIES).where(_q.experiment_id == found, _q.position.in_(some))
            if rows := (await connection.execute(queries)).rowcount:
                return rows
            experiment = delete(EXPERIMENTS).where(_e.experiment_id == found, is_old)
            return (await connection.execute(experiment)).rowcount

    async def _select(self, *rules: Any, size: int = 1) -> list[Experiment]:
        statement = select(EXPERIMENTS).where(*rules).order_by(_e.created_at.desc(), _e.experiment_id.desc())
        async with self._database.begin() as connection:
            rows = (await connection.execute(statement.limit(size))).mappings().all()
            ended = select(_q.experiment_id, func.count()).where(
                _q.experiment_id.in_([row["experiment_id"] for row in rows]), _q.state != QueryState.PENDING.value
            )
            counts = {name: count for name, count in await connection.execute(ended.group_by(_q.experiment_id))}  # noqa: C416 - rows
        return [_experiment_of(row, counts.get(row["experiment_id"], 0)) for row in rows]

    async def _queries(self, statement: Any) -> list[ExperimentQuery]:
        async with self._database.begin() as connection:
            return [_query_of(row) for row in (await connection.execute(statement)).mappings()]


def _running(experiment_id: str, owner: str) -> tuple[Any, ...]:
    return _e.experiment_id == experiment_id, _e.owner == owner, _e.state == State.RUNNING.value


def _row_of(query: ExperimentQuery) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(query)
    row = {name: values.pop(name) for name in _NOT_OUTCOME}
    return {**row, "outcome": values}


def _query_of(row: RowMapping) -> ExperimentQuery:
    values: Mapping[str, Any] = {**row["outcome"], **{name: row[name] for name in _NOT_OUTCOME}}
    return msgspec.convert(values, ExperimentQuery)


def _experiment_of(row: RowMapping, ended: int) -> Experiment:
    values = {str(name): value for name, value in row.items() if name != "owner"}
    return msgspec.convert({**values, "ended": ended}, Experiment)
