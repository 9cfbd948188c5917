"""Ranking quality and time of the local models on labelled sets, through the running server over gRPC.

Every query's BM25 candidates are reranked one call after the other. The second pass over the same documents shows
what the cache of document vectors saves. Figures to compare with are those of the models' own evaluation on the
same candidates.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.retrieval_sets import LabelledQuery, mrr_at_10, ndcg_at_10, read_set
from rerankd_client import RerankClient

QUERIES = {"noveleval": 21, "wikiqa": 369, "scifact": 60, "cranfield": 50}
"""Queries of each set that are scored unless --queries says otherwise: what the reference figures were taken on."""

REFERENCE: Mapping[str, Mapping[str, float]] = {
    "noveleval": {
        "local/bm25": 0.548,
        "local/all-minilm-l6-v2": 0.742,
        "local/all-minilm-l6-v2-maxsim": 0.758,
        "local/bge-small-en-v1.5": 0.721,
        "local/answerai-colbert-small-v1": 0.780,
        "local/ms-marco-minilm-l12-v2": 0.805,
        "local/default (quality)": 0.792,
    },
    "wikiqa": {
        "local/bm25": 0.704,
        "local/all-minilm-l6-v2": 0.771,
        "local/all-minilm-l6-v2-maxsim": 0.782,
        "local/bge-small-en-v1.5": 0.796,
        "local/answerai-colbert-small-v1": 0.811,
        "local/ms-marco-minilm-l12-v2": 0.848,
        "local/default (quality)": 0.833,
    },
    "scifact": {
        "local/bm25": 0.661,
        "local/all-minilm-l6-v2": 0.635,
        "local/all-minilm-l6-v2-maxsim": 0.720,
        "local/ms-marco-minilm-l12-v2": 0.691,
        "local/default (quality)": 0.715,
    },
    "cranfield": {
        "local/bm25": 0.456,
        "local/all-minilm-l6-v2": 0.549,
        "local/all-minilm-l6-v2-maxsim": 0.541,
        "local/bge-small-en-v1.5": 0.563,
        "local/answerai-colbert-small-v1": 0.542,
        "local/ms-marco-minilm-l12-v2": 0.529,
        "local/default (quality)": 0.564,
    },
}
"""NDCG@10 on the same queries and candidates."""

MODELS = (
    "local/bm25",
    "local/all-minilm-l6-v2",
    "local/all-minilm-l6-v2-maxsim",
    "local/bge-small-en-v1.5",
    "local/answerai-colbert-small-v1",
    "local/ms-marco-minilm-l12-v2",
    "local/default (budget)",
    "local/default (quality)",
)
SECOND_PASS = ("local/all-minilm-l6-v2-maxsim", "local/default (quality)")
CACHED = "again, vectors kept"


@dataclass(frozen=True)
class Reading:
    """One model on one set."""

    ndcg: float
    mrr: float
    mean_ms: float
    p95_ms: float


@contextmanager
def server(target: str | None) -> Iterator[str]:
    """Yield the address of the server to measure; start one when none is named."""
    if target:
        yield target
        return
    command = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    environment = {**os.environ, "RERANKD_LOG__FORMAT": "json"}
    with (
        tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            while not (ready := re.search(r'"grpc_port":\s*(\d+)', Path(log.name).read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    raise SystemExit(f"the server did not start: {Path(log.name).read_text(encoding='utf-8')}")
                time.sleep(0.1)
            yield f"127.0.0.1:{ready[1]}"
        finally:
            process.terminate()


def rank(client: RerankClient, label: str, query: LabelledQuery) -> list[int]:
    """Rerank a query's candidates; return their positions, best first."""
    model, _, mode = label.partition(" (")
    options: dict[str, Any] = {"mode": mode.rstrip(")")} if mode else {}
    response = client.rerank(query.text, query.candidates, model=model, provider_options=options, timeout_s=300)
    return [result.index for result in response.results]


def measure(client: RerankClient, label: str, queries: Sequence[LabelledQuery], progress: Progress) -> Reading:
    """Rerank every query of a set."""
    task = progress.add_task(label, total=len(queries))
    ndcgs, mrrs, times_ms = [], [], []
    for query in queries:
        began_s = time.perf_counter()
        order = rank(client, label, query)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        ndcgs.append(ndcg_at_10(query, order))
        mrrs.append(mrr_at_10(query, order))
        progress.advance(task)
    progress.remove_task(task)
    p95_ms = statistics.quantiles(times_ms, n=20)[18] if len(times_ms) > 1 else times_ms[0]
    return Reading(statistics.mean(ndcgs), statistics.mean(mrrs), statistics.mean(times_ms), p95_ms)


def measure_set(client: RerankClient, name: str, queries: Sequence[LabelledQuery], labels: Sequence[str]) -> Table:
    """Measure every model on one set."""
    documents = statistics.mean(len(query.candidates) for query in queries)
    table = Table(title=f"{name}: {len(queries)} queries, {documents:.0f} documents each")
    for heading in ("model", "NDCG@10", "reference", "MRR@10", "ms a query", "p95 ms"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), transient=True) as progress:
        reference = REFERENCE.get(name, {}) if len(queries) == QUERIES.get(name) else {}
        for label in labels:
            _add_row(table, label, measure(client, label, queries, progress), reference.get(label))
            if label in SECOND_PASS:
                again = measure(client, label, queries, progress)
                _add_row(table, f"  {CACHED}", again, None)
    return table


def _add_row(table: Table, label: str, reading: Reading, reference: float | None) -> None:
    expected = "" if reference is None else f"{reference:.3f}"
    row = (label, f"{reading.ndcg:.3f}", expected, f"{reading.mrr:.3f}")
    table.add_row(*row, f"{reading.mean_ms:.0f}", f"{reading.p95_ms:.0f}")


def main() -> None:
    """Measure and print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--sets", default=",".join(QUERIES), help="comma-separated names of sets")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated models")
    parser.add_argument("--queries", type=int, help="queries of each set; default: those of the reference figures")
    parser.add_argument("--target", help="gRPC address of a running server; one is started when not given")
    arguments = parser.parse_args()
    console = Console(width=max(100, Console().width))
    with server(arguments.target) as address, RerankClient(address) as client:
        for name in arguments.sets.split(","):
            queries = read_set(arguments.data / name, arguments.queries or QUERIES.get(name))
            console.print(measure_set(client, name, queries, arguments.models.split(",")))


if __name__ == "__main__":
    main()
