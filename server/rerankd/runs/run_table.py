"""The reader's side of the run log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.runs.detail_blocks import decompressed, details_in
from rerankd.runs.rows import run_of
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_id import first_run_id
from rerankd.runs.tables import LISTED, RULES, RUN_BLOCKS, RUNS
from rerankd.store.database import Database

_FEW: Final = 5000
"""Slow calls up to which they are looked up by their latency; if there are more, some are among the newest runs."""
_c: Final = RUNS.c
_DETAILS: Final = (_c.details, _c.block_id)
_EQUAL: Final = (
    "request_id", "replay_of", "experiment_id", "user", "key_id", "status", "reason", "reranker", "model", "source",
)  # fmt: skip
"""Columns with indexes, those first that leave the fewest runs; `status` and `reason` by the index of failed ones."""


class RunTable:
    """Reads runs. Task-safe; every method is one transaction and raises `StoreError`.

    Args:
        database: Migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: str) -> Run | None:
        """Return a run with its details; `None` where there is none."""
        statement = select(*LISTED, *_DETAILS).where(_c.run_id == run_id)
        async with self._database.begin() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            runs = await _with_details(connection, rows)
        return runs[0] if runs else None

    async def known(self, run_ids: Sequence[str]) -> Collection[str]:
        """Return which of up to 1,000 runs there are."""
        statement = select(_c.run_id).where(_c.run_id.in_(run_ids))
        async with self._database.begin() as connection:
            return set((await connection.execute(statement)).scalars())

    async def page(self, wanted: RunFilter, size: int, before: str = "", *, with_details: bool = False) -> list[Run]:
        """Return runs, the newest first.

        Args:
            wanted: Conditions.
            size: Runs at most.
            before: Id of the last run of the page before; empty for the first page.
            with_details: Whether details are read too.
        """
        columns = [*LISTED, *_DETAILS] if with_details else LISTED
        async with self._database.begin() as connection:
            rules, is_few = await self._conditions(connection, wanted)
            if before:
                rules.append(_c.run_id < before)
            statement = select(*columns).order_by(_c.run_id.desc())
            if is_few:  # found first: PostgreSQL would go through the newest runs for them
                few = select(_c.run_id).where(*rules).cte("few").prefix_with("MATERIALIZED")
                newest = select(few.c.run_id).order_by(few.c.run_id.desc()).limit(size)
                statement = statement.where(_c.run_id.in_(newest))
            else:
                statement = statement.where(*rules).limit(size)
            rows = (await connection.execute(statement)).mappings().all()
            return await _with_details(connection, rows) if with_details else list(map(run_of, rows))

    async def count(self, wanted: RunFilter, at_most: int) -> int:
        """Return how many runs meet the conditions; `at_most` if there are more."""
        async with self._database.begin() as connection:
            rules, _ = await self._conditions(connection, wanted)
            found = select(_c.run_id).where(*rules)
            return (await connection.execute(_number_of(found, at_most))).scalar_one()

    async def _conditions(
        self, connection: AsyncConnection, wanted: RunFilter
    ) -> tuple[list[ColumnElement[bool]], bool]:
        """Return the conditions, such that the best index is used, and whether few runs meet those of the latency.

        No index has runs of a latency in the order of time. Where few are as slow, the index of latencies finds them;
        where many are, going through the newest runs does. A database cannot tell which, so they are counted, to a
        limit. SQLite, which knows nothing of the values, takes any index of several, so it is left one.
        """
        rules = list(_times(wanted))
        given = [name for name in _EQUAL if getattr(wanted, name)]
        if wanted.status == "ok":  # most are, and no index has them
            given.append(given.pop(given.index("status")))
        is_any = not self._database.is_sqlite
        if slow := list(_latency_rules(_c.latency_ms, wanted)):
            number = _number_of(select(_c.run_id).where(*slow), _FEW + 1)
            if (await connection.execute(number)).scalar_one() <= _FEW:
                return [*rules, *slow, *(_equals(name, wanted, is_indexed=is_any) for name in given)], True
            rules += slow if is_any else _latency_rules(_c.latency_ms + 0.0, wanted)  # no index has the sum
        first = given[0] if given else ""
        rule = RULES.get("errors" if first in ("status", "reason") and wanted.status != "ok" else first)
        if rule is not None:
            rules.append(text(rule))  # type: ignore[arg-type]  # a condition as well
        return [*rules, *(_equals(name, wanted, is_indexed=is_any or name == first) for name in given)], False


async def _with_details(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Run]:
    """Return the runs of rows; those that are deleted meanwhile, with their blocks, are left out."""
    blocks = {"": b""}
    if ids := {row["block_id"] for row in rows} - {""}:
        found = await connection.execute(select(*RUN_BLOCKS.c).where(RUN_BLOCKS.c.block_id.in_(ids)))
        blocks |= {block_id: decompressed(bytes(data)) for block_id, data in found}
    return [run_of(row, details_in(row, blocks)) for row in rows if row["block_id"] in blocks]


def _times(wanted: RunFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.started_from is not None:
        yield _c.run_id >= first_run_id(wanted.started_from)
    if wanted.started_to is not None:
        yield _c.run_id < first_run_id(wanted.started_to)


def _equals(name: str, wanted: RunFilter, *, is_indexed: bool) -> ColumnElement[bool]:
    column: ColumnElement[str] = _c[name]
    value: str = getattr(wanted, name)
    return (column if is_indexed else column.concat("")) == value


def _latency_rules(latency: ColumnElement[float], wanted: RunFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.min_latency_ms is not None:
        yield latency >= wanted.min_latency_ms
    if wanted.max_latency_ms is not None:
        yield latency <= wanted.max_latency_ms


def _number_of(found: Select[Any], at_most: int) -> Select[int]:
    return select(func.count()).select_from(found.limit(at_most).subquery())
