"""What holds of spend in both databases."""

from __future__ import annotations

import asyncio

from rerankd.access.spend.reports import SpendQuery, SpendRow
from rerankd.access.spend.spend_table import SpendTable
from rerankd.access.spend.sums import SpendAmounts, SpendKey
from rerankd.store.database import Database
from tests.support.engines import Clock


def spent(day: str = "2026-11-29", user: str = "u", *, group: str = "g", is_first: bool = True) -> SpendKey:
    return SpendKey(day, "k", group, is_first, user, "cohere/rerank-v3.5")


ONE = SpendAmounts(1, 2, 3, 4, 0.125)


def ever(*by: str, **only: str) -> SpendQuery:
    return SpendQuery(by=by, first_day="2000-01-01", last_day="2999-12-31", **only)


def row(*names: str, times: int = 1) -> SpendRow:
    return SpendRow(
        names=names,
        calls=times,
        documents=2 * times,
        tokens=3 * times,
        search_units=4 * times,
        cost_usd=0.125 * times,
        unpriced_calls=0,
    )


async def test_writers_add_to_the_same_sums_at_once(database: Database) -> None:
    table = SpendTable(database)
    users = ["a", "b", "c'; DROP TABLE spend --"]
    rows = [{spent(user=user): ONE for user in order} for order in (users, users[::-1])]
    for number in range(1, 6):
        added = await asyncio.gather(*(table.add(f"w{at}", number, each) for at, each in enumerate(rows)))
        assert added == [True, True]
    assert await table.report(ever("user")) == [row(user, times=10) for user in users]


async def test_what_a_writer_repeats_is_added_once(database: Database) -> None:
    """The connection may be lost after the transaction was committed: nobody knows, so it is sent again."""
    table = SpendTable(database)
    for _ in range(3):
        await table.add("w", 1, {spent(): ONE})
    assert not await table.add("w", 1, {spent(user="other"): ONE})
    assert await table.add("w", 2, {spent(): ONE})
    assert await table.add("another", 1, {spent(): ONE})
    assert await table.report(ever()) == [row(times=3)]


async def test_spend_is_grouped_and_narrowed(database: Database) -> None:
    table = SpendTable(database)
    rows = {
        spent("2026-11-28"): ONE,
        spent("2026-11-29"): ONE,
        spent("2026-11-29", group="h", is_first=False): ONE,
        spent("2026-11-29", "v", group=""): ONE,
    }
    await table.add("w", 1, rows)
    by_day = await table.report(ever("day"))
    assert by_day == [row("2026-11-28"), row("2026-11-29", times=2)]
    assert await table.report(ever("group")) == [row(""), row("g", times=2), row("h")]
    by_both = SpendQuery(by=("user", "day"), first_day="2026-11-29", last_day="2026-11-29")
    assert await table.report(by_both) == [row("u", "2026-11-29"), row("v", "2026-11-29")]
    assert await table.report(ever(group="h")) == [row()]
    assert await table.report(ever(group="")) == [row()]
    for names in ({"key_id": "k"}, {"model": "cohere/rerank-v3.5"}):
        assert await table.report(ever(**names)) == [row(times=3)]
    assert await table.report(ever(user="nobody")) == []
    assert await table.report(ever("user", user="nobody")) == []


async def test_reports_have_pages(database: Database) -> None:
    table = SpendTable(database)
    names = [f"u{number}" for number in range(5)]
    await table.add("w", 1, {spent(user=name): ONE for name in names})
    query = ever("day", "user")
    first = await table.report(query, size=3)
    rest = await table.report(query, first[-1].names, 3)
    assert [each.names[1] for each in (*first, *rest)] == names


async def test_old_spend_is_deleted_and_so_are_writers(database: Database) -> None:
    clock = Clock()
    clock.now_s = 1_795_910_400.0  # 2026-11-29
    table = SpendTable(database, clock)
    days = ["2026-10-29", "2026-10-30", "2026-11-29"]
    await table.add("w", 7, {spent(day): ONE for day in days})
    assert await table.delete_before(30) == 1
    assert [each.names for each in await table.report(ever("day"))] == [(days[1],), (days[2],)]
    assert not await table.add("w", 7, {spent(): ONE})
    clock.now_s += 8 * 86_400
    await table.delete_before(300)
    assert await table.add("w", 1, {spent(): ONE})
