"""The command `spend`: reads the store and prints sums."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rerankd.access.key_settings import utc
from rerankd.access.spend.reports import AMOUNTS, SpendQuery, SpendRow, csv_of, dimensions_of, period, values_of
from rerankd.access.spend.spend_table import SpendTable
from rerankd.console.errors import OK, USAGE, CommandError
from rerankd.console.rendering import make_console, make_table, print_json
from rerankd.console.serving import load
from rerankd.console.store.opening import has_store, with_database
from rerankd.settings import Settings
from rerankd.store.database import Database
from rerankd.store.migrating import open_store

_PAGE: Final = 1000


class Question(NamedTuple):
    """What the command was given; see `spend_command.spend`."""

    by: str
    first: str
    last: str
    key: str | None
    group: str | None
    user: str | None
    model: str | None


def report(config: Path | None, question: Question, output: str) -> int:
    """Print the sums; the dearest first, within each day."""
    query = _query_of(question)
    rows = _read(load(config, {}), query)
    rows.sort(key=lambda row: (row.names[query.by.index("day")] if "day" in query.by else "", -row.cost_usd, row.names))
    headings = [*query.by, *AMOUNTS]
    if output == "json":
        print_json([dict(zip(headings, values_of(row), strict=True)) for row in rows])
    elif output == "csv":
        print(csv_of(query.by, map(values_of, rows)), end="")
    else:
        _print_table(query, rows)
    return OK


def _query_of(question: Question) -> SpendQuery:
    try:
        by = dimensions_of([name.strip() for name in question.by.split(",") if name.strip()])
        first, last = period(question.first, question.last, utc(time.time()).date())
    except ValueError as error:
        raise CommandError(str(error), exit_code=USAGE) from None
    return SpendQuery(
        by=by,
        first_day=first,
        last_day=last,
        key_id=question.key,
        group=question.group,
        user=question.user,
        model=question.model,
    )


def _read(settings: Settings, query: SpendQuery) -> list[SpendRow]:
    """Read all rows; where there is no SQLite file, there are none, and none is made."""
    if not has_store(settings):
        return []

    async def collect(database: Database) -> list[SpendRow]:
        await open_store(database)
        table = SpendTable(database)
        found = page = await table.report(query, size=_PAGE)
        while query.by and len(page) == _PAGE:
            page = await table.report(query, found[-1].names, _PAGE)
            found += page
        return found

    return with_database(settings, collect)[1]


def _print_table(query: SpendQuery, rows: Sequence[SpendRow]) -> None:
    table = make_table(*query.by, "calls", "documents", "tokens", "search units", "US dollars")
    for column in table.columns[len(query.by) :]:
        column.justify = "right"
    for row in rows:
        cost = f"{row.cost_usd:.6f}" + (" +" if row.unpriced_calls else "")
        counts = (f"{each:,}" for each in (row.calls, row.documents, row.tokens, row.search_units))
        table.add_row(*(name or "-" for name in row.names), *counts, cost)
    console = make_console()
    console.print(table)
    if any(row.unpriced_calls for row in rows):
        console.print("+ and calls to models whose price is not known", style="dim")
