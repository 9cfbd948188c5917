"""Time to list, filter and delete runs of the run log, in SQLite and PostgreSQL.

    .venv/bin/python -m benchmarks.runs                    # 20,000 runs, seconds
    .venv/bin/python -m benchmarks.runs --runs 1000000     # some ten minutes

The runs are those of a month: four rerankers, of which one is not called in the last two weeks, two models, 50 keys,
2,000 users, 2 % failed, one in ten thousand slow. They are inserted as the run log inserts them, in its batches, and
read as `ListRuns` reads them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rerankd.runs.rows import RunRow
from rerankd.runs.run import Run, RunDetails, RunDocument, RunResult
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_id import RunIds
from rerankd.runs.run_store import RunStore
from rerankd.runs.run_table import RunTable
from rerankd.runs.writer import MAX_ROWS
from rerankd.store.database import Database
from rerankd.store.migrating import migrate
from rerankd.store.settings import StoreSettings
from tests.support.faults import percentile
from tests.support.postgres import PostgresServer
from tests.support.runs import row_of_run

_IDS = RunIds()
PAGE: Final = 50
DAYS: Final = 30
_DAY_S: Final = 86_400
_RERANKERS: Final = ("support", "support", "support", "docs", "docs", "legal", "rare", "")


class Times(NamedTuple):
    """Times of one kind of query."""

    name: str
    found: int
    """Runs that the first one found."""
    milliseconds: list[float]

    def line(self) -> str:
        """Return a row of the table."""
        median, p95 = percentile(self.milliseconds, 0.5), percentile(self.milliseconds, 0.95)
        return f"| {self.name} | {self.found} | {median:.1f} | {p95:.1f} | {max(self.milliseconds):.1f} |"


def rows(count: int, now: float, seed: int = 1) -> Iterator[RunRow]:
    """Yield the rows of `count` runs of a month, the oldest first."""
    draws = random.Random(seed)
    for number in range(count):
        started_at = now - DAYS * _DAY_S * (1 - number / count)
        yield row_of_run(_run(draws, started_at, number, is_late=number > count / 2))


def _run(draws: random.Random, started_at: float, number: int, *, is_late: bool) -> Run:
    reranker = draws.choice(_RERANKERS) if number % 1000 else "rare"
    if reranker == "legal" and is_late:
        reranker = "docs"
    is_error = draws.random() < 0.02
    text = f"{number:08d} " + "how to renew a contract that has ended " * 5
    details = RunDetails(
        query=text[:40],
        documents=[RunDocument(index, text, chars=len(text)) for index in range(10)],
        results=[RunResult(index, 1 / (index + 1)) for index in range(10)],
    )
    return Run(
        run_id=_IDS.new(started_at),
        started_at=started_at,
        latency_ms=draws.lognormvariate(3, 0.8) * (1 if draws.random() > 1e-4 else 100),
        source="replay" if number % 5000 == 0 else draws.choice(("api", "grpc", "batch")),
        transport="grpc",
        status="error" if is_error else "ok",
        reason=draws.choice(("PROVIDER_UNAVAILABLE", "DEADLINE_EXCEEDED")) if is_error else "",
        key_id=f"key_{draws.randrange(50)}",
        user=f"user-{draws.randrange(2000)}",
        model=reranker or draws.choice(("local/bm25", "cohere/rerank-v4.0")),
        reranker=reranker,
        request_id=f"{draws.getrandbits(128):032x}",
        query=text[:40],
        document_count=10,
        result_count=10,
        capture="truncated",
        details=details,
    )


def queries(now: float) -> dict[str, RunFilter]:
    """Return what is asked for, by name."""
    return {
        "the newest": RunFilter(),
        "one day, two weeks ago": RunFilter(started_from=now - 15 * _DAY_S, started_to=now - 14 * _DAY_S),
        "reranker": RunFilter(reranker="support"),
        "rare reranker": RunFilter(reranker="rare"),
        "reranker, not called for two weeks": RunFilter(reranker="legal"),
        "model": RunFilter(model="local/bm25"),
        "failed": RunFilter(status="error"),
        "reason": RunFilter(reason="DEADLINE_EXCEEDED"),
        "key": RunFilter(key_id="key_7"),
        "user": RunFilter(user="user-77"),
        "source, rare": RunFilter(source="replay"),
        "above 10 ms": RunFilter(min_latency_ms=10),
        "above 1 s, rare": RunFilter(min_latency_ms=1000),
        "reranker, failed, above 100 ms": RunFilter(reranker="docs", status="error", min_latency_ms=100),
        "key and user": RunFilter(key_id="key_7", user="user-77"),
        "model and rare source": RunFilter(model="local/bm25", source="replay"),
        "reranker, ok, above 300 ms": RunFilter(reranker="support", status="ok", min_latency_ms=300),
        "nobody's": RunFilter(user="nobody"),
    }


async def measure(settings: StoreSettings, count: int, repeats: int) -> None:
    """Fill an empty store, and print the times."""
    database = Database(settings)
    await migrate(database)
    store = await asyncio.to_thread(RunStore, settings)
    now, started_s = time.time(), time.perf_counter()
    await asyncio.to_thread(_fill, store, count, now)
    seconds = time.perf_counter() - started_s
    print(f"{count:,} runs made and inserted in {seconds:.0f} s, {count / seconds:,.0f} a second")
    if settings.is_sqlite:
        size = settings.sqlite_path().stat().st_size
        print(f"the file has {size / 2**20:,.0f} MiB, {size / count:,.0f} bytes a run")
    else:
        async with database.begin() as connection:
            await connection.exec_driver_sql("ANALYZE runs")  # as autovacuum does
    table = RunTable(database)
    print(f"\n| query, a page of {PAGE} | found | median ms | p95 ms | worst ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, wanted in queries(now).items():
        print((await _timed(table, name, wanted, repeats)).line())
    print((await _timed_get(table, repeats)).line())
    print((await asyncio.to_thread(_timed_deletion, store, now, count)).line())
    store.close()
    await database.close()


def _fill(store: RunStore, count: int, now: float) -> None:
    batch: list[RunRow] = []
    for row in rows(count, now):
        batch.append(row)
        if len(batch) == MAX_ROWS:
            store.insert(batch)
            batch = []
    if batch:
        store.insert(batch)


async def _timed(table: RunTable, name: str, wanted: RunFilter, repeats: int) -> Times:
    taken: list[float] = []
    found, before = 0, ""
    for number in range(repeats):
        started_s = time.perf_counter()
        page = await table.page(wanted, PAGE, before)
        taken.append((time.perf_counter() - started_s) * 1000)
        found = found or len(page.runs)
        before = page.next_before if number % 10 < 9 else ""
    return Times(name, found, taken)


async def _timed_get(table: RunTable, repeats: int) -> Times:
    ids = [run.run_id for run in (await table.page(RunFilter(), repeats)).runs]
    taken: list[float] = []
    for run_id in ids:
        started_s = time.perf_counter()
        await table.get(run_id)
        taken.append((time.perf_counter() - started_s) * 1000)
    return Times("one run, whole", 1, taken)


def _timed_deletion(store: RunStore, now: float, count: int) -> Times:
    """Delete the first tenth, as retention does."""
    taken: list[float] = []
    deleted = 0
    until = now - DAYS * _DAY_S * 0.9
    while True:
        started_s = time.perf_counter()
        step = store.delete_before(until)
        taken.append((time.perf_counter() - started_s) * 1000)
        deleted += step
        if not step:
            return Times("a step of retention", deleted, taken)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    options: Any = parser.parse_args(arguments)
    for kind in options.store or ["sqlite", "postgresql"]:
        print(f"\n{kind}\n")
        if kind == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder)
                asyncio.run(measure(StoreSettings(state_dir=str(path)), options.runs, options.repeats))
            continue
        server = PostgresServer()
        try:
            asyncio.run(measure(StoreSettings(url=server.url), options.runs, options.repeats))
        finally:
            server.close()


if __name__ == "__main__":
    main()
