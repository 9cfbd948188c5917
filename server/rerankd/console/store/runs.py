"""The commands of `rerankd runs`: they read the store themselves."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from rich.text import Text

from rerankd.console.errors import OK, USAGE, CommandError
from rerankd.console.rendering import make_console, make_table, print_json
from rerankd.console.serving import load
from rerankd.console.store.opening import has_store, with_database
from rerankd.console.store.run_export import export_runs, facts_of, iso_time
from rerankd.console.store.run_follower import RunFollower
from rerankd.runs.run import Run, RunDetails
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import pages_of
from rerankd.runs.run_table import RunTable
from rerankd.store.database import Database
from rerankd.store.migrating import open_store

T = TypeVar("T")
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TEXT_CHARS: Final = 100


def filter_of(since: str, until: str, slower_than_ms: float | None, **equal: str | None) -> RunFilter:
    """Return the filter of the options; `None` for those that are not given.

    Raises:
        CommandError: A time cannot be read.
    """
    times = {"started_from": _time(since, "--since"), "started_to": _time(until, "--until")}
    given = {name: value for name, value in equal.items() if value is not None}
    return msgspec.convert({**given, **times, "min_latency_ms": slower_than_ms}, RunFilter)


def list_runs(config: Path | None, wanted: RunFilter, limit: int, *, is_json: bool) -> int:
    """Print runs, the newest first."""

    async def newest(table: RunTable) -> list[Run]:
        found: list[Run] = []
        async for page in pages_of(table, wanted, limit):
            found += page
            if len(found) >= limit:
                break
        return found[:limit]

    found = _with_table(config, newest) or []
    if is_json:
        print_json([facts_of(run) for run in found])
    elif found:
        _print_runs(found)
    else:
        print("there are no such runs; runs.calls in the settings says which calls are logged")
    return OK


def show(config: Path | None, run_id: str, *, is_json: bool) -> int:
    """Print one run.

    Raises:
        CommandError: There is none.
    """
    run = _with_table(config, lambda table: table.get(run_id))
    if run is None:
        raise CommandError(f"there is no run {run_id}", "rerankd runs list; runs are deleted after runs.keep_days")
    if is_json:
        print_json(facts_of(run))
    else:
        _print_run(run, run.details or RunDetails())
    return OK


def follow(config: Path | None, wanted: RunFilter, *, is_json: bool) -> int:
    """Print runs as they are logged, until Ctrl-C."""

    async def print_new(table: RunTable) -> None:
        follower = RunFollower(table, wanted)
        while True:
            for run in await follower.poll():
                print(_json_line(run) if is_json else _line(run), flush=True)
            await asyncio.sleep(1.0)

    try:
        _with_table(config, print_new)
    except KeyboardInterrupt:
        return OK
    raise CommandError("there is no store yet", "it is created with the first logged call")


def export(config: Path | None, wanted: RunFilter, output: Path | None) -> int:
    """Write runs to a file or standard output."""

    async def write(table: RunTable) -> int:
        return await export_runs(table, wanted, output)

    count = _with_table(config, write)
    if output is not None:
        print(f"{count or 0:,} runs in {output}" if count else "there are no such runs; no file was written")
    return OK


def _with_table(config: Path | None, use: Callable[[RunTable], Awaitable[T]]) -> T | None:
    """Use the runs' table; None, and no file is created, where there is no SQLite file."""
    settings = load(config, {})
    if not has_store(settings):
        return None

    async def run(database: Database) -> T:
        await open_store(database)
        return await use(RunTable(database))

    return with_database(settings, run)[1]


def _time(text: str, option: str) -> float | None:
    if not text:
        return None
    if ago := _AGO.fullmatch(text):
        return time.time() - float(ago[1]) * _UNIT_S[ago[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{option} must be as 15m, 2h, 7d or 2026-01-31T08:00, is {text}", exit_code=USAGE) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _print_runs(runs: list[Run]) -> None:
    table = make_table("run", "started (UTC)", "ms", "status", "model", "query")
    table.columns[2].justify = "right"
    for column in (0, 1, 5):
        table.columns[column].no_wrap = True
    table.columns[5].overflow = "ellipsis"
    for run in runs:
        status = Text(run.reason or "ok", style="red" if run.reason else "green")
        started = iso_time(run.started_at)[:19].replace("T", " ")
        latency = f"{run.latency_ms:,.1f}"
        table.add_row(run.run_id, started, latency, status, Text(run.model), Text(_one_line(run.query)))
    make_console().print(table)


def _print_run(run: Run, details: RunDetails) -> None:
    left_out = ("details", "query")
    for name, value in facts_of(run).items():
        if name not in left_out and value not in ("", 0, None):
            print(f"{name:18} {value}")
    for name, more in (
        ("query", _one_line(details.query)),
        ("parameters", details.parameters),
        ("usage", _usage(details)),
    ):
        if more:
            print(f"{name:18} {more}")
    not_kept = [f"{what}, because of {setting}" for what, setting in details.left_out.items()]
    for name, lines in (("warning", details.warnings), ("event", details.events), ("not kept", not_kept)):
        for line in lines:
            print(f"{name:18} {line}")
    console = make_console()
    if details.results:
        kept = {document.index: document.text or document.hash for document in details.documents}
        table = make_table("rank", "score", "index", "document")
        for rank, result in enumerate(details.results, 1):
            text = Text(_one_line(kept.get(result.index, "")))
            table.add_row(str(rank), f"{result.relevance_score:.4f}", str(result.index), text)
        console.print(table)
    if details.stages:
        table = make_table("stage", "model", "documents", "ms", "status")
        for stage in details.stages:
            table.add_row(stage.stage, stage.model, str(stage.documents), f"{stage.latency_ms:.1f}", stage.status.value)
        console.print(table)
    if details.attempts:
        table = make_table("chunk", "attempt", "deployment", "documents", "from ms", "ms", "outcome")
        for each in details.attempts:
            numbers = (str(each.documents), f"{each.started_ms:.1f}", f"{each.latency_ms:.1f}")
            table.add_row(str(each.chunk_index), str(each.number), each.deployment, *numbers, each.outcome)
        console.print(table)


def _usage(details: RunDetails) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(details.usage or {}).items() if value}


def _line(run: Run) -> str:
    status = run.reason or "ok"
    return (
        f"{iso_time(run.started_at)} {run.run_id} {status} {run.model} {run.latency_ms:.1f} ms  {_one_line(run.query)}"
    )


def _json_line(run: Run) -> str:
    return msgspec.json.encode(facts_of(run)).decode()


def _one_line(text: str) -> str:
    return " ".join(text[:_TEXT_CHARS].split())
