"""Finds runs that meet conditions, by one index, of which a page goes through a bounded number of entries.

What the index does not know is looked up for each of its entries. Where conditions seldom meet, a page would go through
all of them; so it ends after `SCANNED`, and the next page goes on there.

A database would choose the index by its statistics: SQLite has none, and PostgreSQL takes the runs of a reranker for
spread evenly, and goes through all newer runs for one that was called last week. So entries are counted, to the same
bound, and statements leave the database one index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import eq, ge, le, lt
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, ScalarSelect, Select, func, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_id import AFTER_ALL, first_run_id
from rerankd.runs.tables import RULES, RUNS, SLOW_MS

SCANNED: Final = 2000
"""Entries of an index that a page goes through: some 4 ms of SQLite, 8 of PostgreSQL."""
_NO_LIMIT: Final = 2**62
_BY_TIME: Final = ("replay_of", "experiment_id", "user", "key_id", "errors", "slow", "reranker", "model", "source")
"""Indexes in the order of time, those first that leave the fewest runs as a rule."""
_OF_IDS: Final = ("errors", "slow")
"""Those of some runs' ids."""
_EQUAL: Final = ("request_id", *(name for name in _BY_TIME if name not in _OF_IDS), "status", "reason")
_c: Final = RUNS.c


class _Condition(NamedTuple):
    """One condition."""

    name: str
    """Of the column."""
    compare: Callable[[Any, Any], ColumnElement[bool]]
    value: str | float

    def of(self, columns: Any) -> ColumnElement[bool]:
        """State it of a table's columns."""
        return self.compare(columns[self.name], self.value)


_FAILED: Final = _Condition("status", eq, "error")
_SLOW: Final = _Condition("latency_ms", ge, SLOW_MS)


@dataclass(frozen=True, slots=True)
class RunSearch:
    """Entries of one index, with all runs that are wanted among them."""

    entries: Select[Any]
    """Without a limit."""
    order: Sequence[str]
    """Columns by which the newest run comes first."""
    conditions: Sequence[_Condition]
    """What is to be looked up for each entry."""
    is_by_time: bool = True
    """Whether the newest entries come first."""
    is_whole: bool = False
    """Whether there are at most `SCANNED` entries."""

    def found(self, most: int) -> Select[Any]:
        """Select the ids of the newest runs that meet the conditions, up to `most`, among the first entries."""
        return self._newest(most, SCANNED)

    async def last_entry(self, connection: AsyncConnection) -> str:
        """Return the id of the last entry that `found` goes through; empty if it went through all."""
        if self.is_whole or not self.conditions:
            return ""
        last = self.entries.with_only_columns(_c.run_id).offset(SCANNED - 1).limit(1)
        return (await connection.execute(last)).scalar() or ""

    async def count(self, connection: AsyncConnection, at_most: int) -> int:
        """Return how many runs meet the conditions; `at_most` if there are more. Goes through all entries."""
        return (await connection.execute(_number_of(self._newest(at_most, _NO_LIMIT)))).scalar_one()

    def bounded_number(self) -> ScalarSelect[int]:
        """Select how many entries there are; one more than `SCANNED` if there are more."""
        return _number_of(self.entries.with_only_columns(_c.run_id).limit(SCANNED + 1)).scalar_subquery()

    def _newest(self, most: int, scanned: int) -> Select[Any]:
        if self.is_by_time and not self.conditions:
            return self.entries.limit(most).with_only_columns(_c.run_id)
        entries = self.entries.limit(scanned).subquery("entries")
        newest = [entries.c[name].desc() for name in self.order]
        rules = [condition.of(entries.c) for condition in self.conditions]
        return select(entries.c.run_id).where(*rules).order_by(*newest).limit(most)


async def search_of(connection: AsyncConnection, wanted: RunFilter, before: str = "") -> RunSearch:
    """Choose the index by which runs are found: that with the fewest entries.

    Args:
        connection: To count entries.
        wanted: Conditions.
        before: Runs older than this one alone; empty for all.
    """
    conditions = list(_conditions(wanted))
    times = _times(wanted, before)
    by_time = list(_searches_by_time(conditions, times))
    if not by_time[0].conditions:
        return by_time[0]
    searches = [*by_time, *_searches_by_request_id(conditions, times)]
    numbers = (await connection.execute(select(*(search.bounded_number() for search in searches)))).one()
    fewest = min(range(len(searches)), key=numbers.__getitem__)
    return replace(searches[fewest], is_whole=True) if numbers[fewest] <= SCANNED else by_time[0]


def _searches_by_time(conditions: Sequence[_Condition], times: Sequence[_Condition]) -> Iterator[RunSearch]:
    """Yield what each index in the order of time finds; that of ids, which finds all runs, comes last."""
    low, high = (each.value for each in times)
    given = {each.name: each for each in conditions}
    if given.get("status") == _FAILED or "reason" in given:
        given["errors"] = _FAILED
    if any(each.compare is ge and float(each.value) >= SLOW_MS for each in conditions if each.name == "latency_ms"):
        given["slow"] = _SLOW
    for name in (each for each in _BY_TIME if each in given):
        left = [each for each in conditions if each != given[name]]
        rule = [text(RULES[name])] if name in RULES else []
        if name in _OF_IDS:
            yield _search_by_id(left, [*rule, *(each.of(_c) for each in times)])
            continue
        pair, value = tuple_(_c[name], _c.run_id), literal(given[name].value)
        # Not as `column = value AND run_id < ...`, for which PostgreSQL may take the index of ids.
        within = [pair >= tuple_(value, literal(low)), pair < tuple_(value, literal(high))]
        order = [name, "run_id"]
        entries = select(*_columns(left, name)).where(*rule, *within).order_by(*(_c[each].desc() for each in order))
        yield RunSearch(entries, order, left)
    yield _search_by_id(conditions, [each.of(_c) for each in times])


def _search_by_id(conditions: Sequence[_Condition], rules: Sequence[Any]) -> RunSearch:
    entries = select(*_columns(conditions)).where(*rules).order_by(_c.run_id.desc())
    return RunSearch(entries, ["run_id"], conditions)


def _searches_by_request_id(conditions: Sequence[_Condition], times: Sequence[_Condition]) -> Iterator[RunSearch]:
    """Yield what the index of request ids finds, which has no order of time: good where few runs have the id."""
    for own in (each for each in conditions if each.name == "request_id"):
        left = [*times, *(each for each in conditions if each != own)]
        yield RunSearch(select(*_columns(left)).where(own.of(_c)), ["run_id"], left, is_by_time=False)


def _conditions(wanted: RunFilter) -> Iterator[_Condition]:
    for name in _EQUAL:
        if value := getattr(wanted, name):
            yield _Condition(name, eq, value)
    if wanted.min_latency_ms is not None:
        yield _Condition("latency_ms", ge, wanted.min_latency_ms)
    if wanted.max_latency_ms is not None:
        yield _Condition("latency_ms", le, wanted.max_latency_ms)


def _times(wanted: RunFilter, before: str) -> tuple[_Condition, _Condition]:
    """Return the lowest id, and one above the highest."""
    low = "" if wanted.started_from is None else first_run_id(wanted.started_from)
    high = AFTER_ALL if wanted.started_to is None else first_run_id(wanted.started_to)
    return _Condition("run_id", ge, low), _Condition("run_id", lt, min(high, before or AFTER_ALL))


def _columns(conditions: Sequence[_Condition], *names: str) -> list[Column[Any]]:
    return [_c[name] for name in dict.fromkeys(["run_id", *names, *(each.name for each in conditions)])]


def _number_of(found: Select[Any]) -> Select[int]:
    return select(func.count()).select_from(found.subquery())
