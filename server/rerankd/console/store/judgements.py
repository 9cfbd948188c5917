"""The commands `judgements import` and `judgements export`: they open the store themselves."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerankd.console.errors import OK, USAGE, CommandError
from rerankd.console.rendering import make_console, print_json
from rerankd.console.serving import load
from rerankd.console.store.opening import has_store, with_database
from rerankd.contract.wording import counted
from rerankd.evaluation.judgements.files import (
    FileError,
    Graded,
    read_documents,
    read_json_lines,
    read_qrels,
    read_queries,
    write_json_line,
)
from rerankd.evaluation.judgements.judgement import Judgement, Source
from rerankd.evaluation.judgements.table import JudgementTable
from rerankd.store.database import Database
from rerankd.store.migrating import open_store

T = TypeVar("T")
_PAGE: Final = 1000
_BYTE_ORDER_MARK: Final = "\ufeff"


def import_judgements(
    config: Path | None, file: Path, queries: Path | None, documents: Path | None, *, clips: bool, is_json: bool
) -> int:
    """Store the grades of a file, all of which must be readable."""
    if queries is None and documents is not None:
        raise CommandError("--documents belongs to qrels, which need --queries too", exit_code=USAGE)
    if queries is None:
        grades = _parsed(file, lambda lines: list(read_json_lines(lines)))
    else:
        texts = _parsed(queries, read_queries)
        contents = None if documents is None else _parsed(documents, read_documents)
        grades = _parsed(file, lambda lines: list(read_qrels(lines, texts, contents, clips=clips)))
    if not grades:
        raise CommandError(f"{_name_of(file)} has no judgement", exit_code=USAGE)

    async def store(database: Database) -> int:
        await open_store(database)
        return await _store(JudgementTable(database), grades)

    name, count = with_database(load(config, {}), store)
    asked = len({subject.query_hash for subject, _, _ in grades})
    if is_json:
        print_json({"judgements": count, "queries": asked})
    else:
        print(f"{counted(count, 'judgement')} of {counted(asked, 'query', 'queries')} in {name}")
    return OK


async def _store(table: JudgementTable, grades: Sequence[Graded]) -> int:
    """Store grades with a progress bar, if standard error is a terminal; return how many documents they are of."""
    console = make_console(is_error=True)
    columns = (TextColumn("storing judgements"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    count = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(grades))
        for start in range(0, len(grades), _PAGE):
            some = grades[start : start + _PAGE]
            for source in (Source.IMPORT, Source.FEEDBACK):
                count += await table.judge([each[:2] for each in some if each[2] is source], source)
            progress.advance(task, len(some))
    return count


def export_judgements(config: Path | None, source: str) -> int:
    """Print judgements as JSON Lines."""
    settings = load(config, {})
    if has_store(settings):
        with_database(settings, lambda database: _print_all(database, source))
    return OK


async def _print_all(database: Database, source: str) -> None:
    await open_store(database)
    table = JudgementTable(database)
    page: list[Judgement] = []
    while page := await table.page(page[-1].key if page else None, _PAGE, source=source):
        sys.stdout.writelines(f"{write_json_line(each)}\n" for each in page)


def _parsed(file: Path, parse: Callable[[Iterator[str]], T]) -> T:
    try:
        return parse(iter(_read(file).removeprefix(_BYTE_ORDER_MARK).splitlines()))
    except FileError as error:
        raise CommandError(f"{_name_of(file)}, {error}", exit_code=USAGE) from None


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"cannot read {_name_of(file)}: {reason}", exit_code=USAGE) from None


def _name_of(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)
