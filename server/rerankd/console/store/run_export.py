"""Writes runs as JSON Lines or Parquet."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerankd.console.batch.parquet import require_pyarrow
from rerankd.console.errors import USAGE, CommandError
from rerankd.console.rendering import make_console
from rerankd.runs.run import Run, RunDetails, RunDocument
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_page import pages_of
from rerankd.runs.run_table import RunTable

_PAGE: Final = 500
_LINES: Final = ("", ".jsonl", ".ndjson", ".json")
"""Names of files with JSON Lines."""
_MOST_COUNTED: Final = 100_000_000
_OWN_COLUMNS: Final = ("query", "documents", "results")
"""Details with columns of their own in Parquet; the others are JSON text in one."""
_DOCUMENT: Final = {
    "index": "int32", "text": "string", "hash": "string", "id": "string", "chars": "int64", "fields": "string",
    "prior_score": "float64", "own_text": "string", "metadata": "string", "image": "string",
}  # fmt: skip
"""Columns of a document in Parquet."""
_JSON: Final = ("fields", "metadata")
"""Those of them that are JSON text."""


async def export_runs(table: RunTable, wanted: RunFilter, output: Path | None) -> int:
    """Write the runs that meet the conditions, the newest first; return how many there were.

    Args:
        table: Has the runs.
        wanted: Conditions.
        output: File; Parquet where its name says so. None: JSON Lines on standard output. Without runs, none is made.

    Raises:
        CommandError: The file cannot be written, has a name of another format, or pyarrow is not installed.
    """
    if output is not None:
        _check_name(output)
    total = await table.count(wanted, _MOST_COUNTED)
    if not total:
        return 0
    with _progress(total) as advance:
        pages = _pages(table, wanted, advance)
        try:
            if output is None:
                return await _write_lines(pages, sys.stdout.buffer.write)
            if output.suffix == ".parquet":
                return await _write_parquet(pages, output)
            with output.open("wb") as file:
                return await _write_lines(pages, file.write)
        except OSError as error:
            raise CommandError(f"cannot write {output or 'standard output'}: {error.strerror or error}") from None


def _check_name(output: Path) -> None:
    if output.suffix == ".parquet":
        require_pyarrow()
    elif output.suffix not in _LINES:
        problem = f"runs are exported as .parquet or as JSON Lines (.jsonl), not as {output.suffix}"
        raise CommandError(problem, f"--output {output.with_suffix('.jsonl')}", exit_code=USAGE)


def facts_of(run: Run) -> dict[str, Any]:
    """Return a run for JSON: its time as text, every field stated; details where they were read."""
    facts = {name: getattr(run, name) for name in run.__struct_fields__ if name != "details"}
    facts["started_at"] = iso_time(run.started_at)
    if run.details is not None:
        facts["details"] = msgspec.to_builtins(run.details)
    return facts


def iso_time(seconds: float) -> str:
    """Return a time as text, in UTC to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _pages(table: RunTable, wanted: RunFilter, advance: Callable[[int], None]) -> AsyncIterator[list[Run]]:
    async for page in pages_of(table, wanted, _PAGE, with_details=True):
        yield page
        advance(len(page))


async def _write_lines(pages: AsyncIterator[list[Run]], write: Callable[[bytes], object]) -> int:
    count = 0
    async for page in pages:
        for run in page:
            write(msgspec.json.encode(facts_of(run)) + b"\n")
        count += len(page)
    return count


async def _write_parquet(pages: AsyncIterator[list[Run]], output: Path) -> int:
    pa, pq = require_pyarrow()
    schema = _schema(pa)
    count = 0
    with pq.ParquetWriter(output, schema, compression="zstd") as writer:
        async for page in pages:
            writer.write_table(pa.Table.from_pylist([_flat(run) for run in page], schema))
            count += len(page)
    return count


def _schema(pa: Any) -> Any:
    kinds = {float: pa.float64(), int: pa.int64()}
    columns = {
        name: pa.float64() if name == "cost_usd" else kinds.get(type(getattr(_EMPTY, name)), pa.string())
        for name in _EMPTY.__struct_fields__
        if name not in ("details", "started_at", *_OWN_COLUMNS)
    }
    columns["started_at"] = pa.timestamp("us", tz="UTC")
    columns["query"] = pa.string()
    columns["documents"] = pa.list_(pa.struct({name: getattr(pa, kind)() for name, kind in _DOCUMENT.items()}))
    columns["results"] = pa.list_(pa.struct({"index": pa.int32(), "relevance_score": pa.float64()}))
    columns["details"] = pa.string()
    return pa.schema(columns)


def _flat(run: Run) -> dict[str, Any]:
    details = run.details or RunDetails()
    row = facts_of(run)
    row["started_at"] = datetime.fromtimestamp(run.started_at, UTC)
    row["query"] = details.query
    row["documents"] = [_flat_document(each) for each in details.documents]
    row["results"] = [{"index": each.index, "relevance_score": each.relevance_score} for each in details.results]
    others = {name: value for name, value in row["details"].items() if name not in _OWN_COLUMNS}
    row["details"] = msgspec.json.encode(others).decode()
    return row


def _flat_document(document: RunDocument) -> dict[str, Any]:
    values = {name: getattr(document, name) for name in _DOCUMENT}
    objects = {name: values[name] for name in _JSON if values[name] is not None}
    return values | {name: msgspec.json.encode(value).decode() for name, value in objects.items()}


_EMPTY: Final = Run(run_id="", started_at=0.0, latency_ms=0.0, source="", transport="", status="ok")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal."""
    console = make_console(is_error=True)
    columns = (TextColumn("exporting runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
