"""Ended sessions in the store, on both databases."""

from __future__ import annotations

import asyncio

from rerankd.access.sessions.ended_table import EndedTable
from rerankd.store.database import Database
from tests.support.engines import Clock


async def test_ended_sessions_are_read_by_change_and_dropped_after_their_time(database: Database) -> None:
    clock = Clock()
    table = EndedTable(database, clock)
    assert await table.changed_since(0) == (0, [])
    await table.add("a", clock.now_s + 10)
    await table.add("b", clock.now_s + 20)
    await table.add("a", clock.now_s + 10)
    change, ended = await table.changed_since(0)
    assert sorted(ended) == [("a", clock.now_s + 10), ("b", clock.now_s + 20)]
    assert await table.changed_since(change) == (change, [])
    clock.now_s += 15
    await asyncio.gather(*(table.add(f"c{number}", clock.now_s + 10) for number in range(5)))
    found = [name for name, _ in (await table.changed_since(change))[1]]
    assert sorted(found) == [f"c{number}" for number in range(5)]
    assert "a" not in [name for name, _ in (await table.changed_since(0))[1]]


async def test_of_many_that_end_the_same_at_once_one_is_the_first(database: Database) -> None:
    clock = Clock()
    tables = [EndedTable(database, clock) for _ in range(10)]
    first = await asyncio.gather(*(table.add("a", clock.now_s + 10) for table in tables))
    assert sorted(first) == [False] * 9 + [True]
    assert not await tables[0].add("a", clock.now_s + 10)
