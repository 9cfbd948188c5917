"""Progress display and final summary of a batch."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from rerankd.console.batch.plan import BatchPlan
from rerankd.console.batch.totals import Totals
from rerankd.console.rendering import make_console, print_json
from rerankd.contract.wording import counted

_BAR_EVERY_S: Final = 0.25
_LINE_EVERY_S: Final = 10.0


@asynccontextmanager
async def show_progress(totals: Totals) -> AsyncIterator[None]:
    """Show progress on standard error while the context is open: a bar on a terminal, else a line every 10 s."""
    showing = asyncio.create_task(_draw_bar(totals) if sys.stderr.isatty() else _print_lines(totals))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


def print_summary(totals: Totals, *, is_json: bool, is_output_piped: bool) -> None:
    """Print the totals of a batch; on standard error if the outcomes are on standard output."""
    if is_json and not is_output_piped:
        print_json(totals.to_dict())
        return
    facts = {
        "items": f"{totals.done:,}" + (f" ({totals.earlier:,} of an earlier run)" if totals.earlier else ""),
        "failed": f"{totals.failed:,}",
        "documents": f"{totals.documents:,}",
        "cached": f"{totals.cached_documents:,}" if totals.cached_documents else "",
        "tokens": f"{totals.tokens:,}" if totals.tokens else "",
        "search units": f"{totals.search_units:,}" if totals.search_units else "",
        "cost": _cost(totals),
        "time": f"{totals.elapsed_s():,.1f} s",
        "throughput": f"{totals.items_per_s():,.1f} items/s, {totals.pairs_per_s():,.1f} documents/s",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value:
            style = "red" if name == "failed" and totals.failed else ""
            table.add_row(Text(name, style="dim"), Text(value, style=style))
    make_console(is_error=is_output_piped).print(table)


def print_failures(totals: Totals, plan: BatchPlan) -> None:
    """Say on standard error what failed first and how to run failed items again; nothing where none failed."""
    if not totals.failed:
        return
    print(f"{counted(totals.failed, 'item')} failed; the first, {totals.first_failure}", file=sys.stderr)
    if plan.is_piped_out:
        return
    hint = "read standard input again with --no-resume" if plan.is_piped_in else "add --retry-failed to run them again"
    print(f"status.message in {plan.output} says why each did; {hint}", file=sys.stderr)


async def _draw_bar(totals: Totals) -> None:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, console=make_console(is_error=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=totals.expected, completed=totals.done, facts="")
        while True:
            progress.update(task, completed=totals.done, facts=_facts(totals), refresh=True)
            await asyncio.sleep(_BAR_EVERY_S)


async def _print_lines(totals: Totals) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        whole = f"/{totals.expected:,}" if totals.expected is not None else ""
        print(f"{totals.done:,}{whole} items, {_facts(totals)}", file=sys.stderr, flush=True)


def _facts(totals: Totals) -> str:
    remaining_s = totals.remaining_s()
    parts = [
        f"{totals.items_per_s():,.1f} items/s",
        f"{totals.pairs_per_s():,.1f} documents/s",
        f"{totals.failed:,} failed" if totals.failed else "",
        _cost(totals),
        f"{_clock(remaining_s)} left" if remaining_s is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _cost(totals: Totals) -> str:
    return f"${totals.cost:,.6f}" if totals.cost is not None else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
