"""Ranking quality and time of the local models on labelled sets, through the running server over gRPC.

Every query's BM25 candidates are reranked one call after the other. The second pass over the same documents shows
what the cache of document vectors saves. Figures to compare with are those of the models' own evaluation on the
same candidates. Of models whose scores are probabilities, the table has the expected calibration error, with all
documents alike ("ECE") and with relevant ones weighing as much as the others ("at even odds", which the scores of
`local/default` suppose), and the threshold with the best F1; "in halves" sends every list as two calls and merges
their results by score, "ranked" says that the documents come in the order of an earlier stage, "warm" warms them
before. A second table has the documents that each stage of `local/default` read, and its time, a third one the scores
of right and of unrelated documents that are sent alone. Candidates recur between the queries of a set, so some vectors
are kept from one to the next; `--vector-cache-mb 0` keeps none.
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

from benchmarks.alone import HEADINGS, score_alone
from benchmarks.probabilities import best_threshold, calibration_error
from benchmarks.retrieval_sets import LabelledQuery, mrr_at_10, ndcg_at_10, read_set
from rerankd_client import RerankClient, ScoreSpace, StageDetail

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
    "local/default (budget) ranked",
    "local/default (quality)",
    "local/default (quality) in halves",
    "local/default (budget) warm",
    "local/default (quality) alone",
)
SECOND_PASS = ("local/all-minilm-l6-v2-maxsim", "local/default (quality)")
CACHED = "again, vectors kept"
HALVES = " in halves"
RANKED = " ranked"
WARM = " warm"
ALONE = " alone"
_WARMED_AT_ONCE = 500
"""Documents of one call to warm."""


@dataclass(frozen=True)
class Reading:
    """One model on one set."""

    ndcg: float
    mrr: float
    mean_ms: float
    p95_ms: float
    calibration_error: float | None
    """`None` of scores that are no probabilities."""
    even_calibration_error: float | None
    """With relevant documents weighing as much as the others."""
    threshold: float | None
    max_ms: float
    stages: Mapping[str, StageReading]
    """By name, in the order they run; of models that have stages."""


@dataclass(frozen=True)
class StageReading:
    """One stage over all queries."""

    documents: float
    """Mean number of documents that it read."""
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Served:
    """A server to measure."""

    address: str
    process_id: int | None
    """`None` of a server that was running already."""

    def memory_mb(self) -> tuple[int, int] | None:
        """Return resident memory, now and at most, in MB."""
        status = Path(f"/proc/{self.process_id}/status")
        if self.process_id is None or not status.exists():
            return None
        found = dict(re.findall(r"(VmRSS|VmHWM):\s*(\d+) kB", status.read_text(encoding="utf-8")))
        return int(found["VmRSS"]) // 1024, int(found["VmHWM"]) // 1024


@contextmanager
def server(target: str | None, vector_cache_mb: int | None = None) -> Iterator[Served]:
    """Yield the server to measure; start one when none is named."""
    if target:
        yield Served(target, None)
        return
    command = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    environment = {**os.environ, "RERANKD_LOG__FORMAT": "json"}
    if vector_cache_mb is not None:
        environment["RERANKD_LOCAL__VECTOR_CACHE_MB"] = str(vector_cache_mb)
    with (
        tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            while not (ready := re.search(r'"grpc_port":\s*(\d+)', Path(log.name).read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    raise SystemExit(f"the server did not start: {Path(log.name).read_text(encoding='utf-8')}")
                time.sleep(0.1)
            yield Served(f"127.0.0.1:{ready[1]}", process.pid)
        finally:
            process.terminate()


def rank(client: RerankClient, label: str, query: LabelledQuery) -> tuple[list[float], Sequence[StageDetail]]:
    """Rerank a query's candidates; return one score a candidate, and the stages of the last call."""
    kind, halves, _ = label.partition(HALVES)
    model, options = _read_label(kind.removesuffix(RANKED).removesuffix(WARM))
    documents = query.candidates
    middle = len(documents) // 2 if halves else 0
    scores = [0.0] * len(documents)
    stages: Sequence[StageDetail] = ()
    for start, part in ((0, documents[:middle]), (middle, documents[middle:])):
        if part:
            response = client.rerank(
                query.text,
                part,
                model=model,
                provider_options=options,
                documents_ranked=label.endswith(RANKED) or None,
                timeout_s=300,
            )
            stages = response.stages
            for result in response.results:
                scores[start + result.index] = result.relevance_score
    return scores, stages


def _read_label(label: str) -> tuple[str, dict[str, Any]]:
    """Split "local/default (quality)" into the model and the options of a call."""
    model, _, mode = label.partition(" (")
    return model, {"mode": mode.rstrip(")")} if mode else {}


def warm(client: RerankClient, queries: Sequence[LabelledQuery]) -> None:
    """Compute the vectors of all candidates ahead, those of the last queries last."""
    texts = list(dict.fromkeys(text for query in queries for text in query.candidates))
    for start in range(0, len(texts), _WARMED_AT_ONCE):
        client.warm_documents(texts[start : start + _WARMED_AT_ONCE], model="local/default", timeout_s=600)


def measure(client: RerankClient, label: str, queries: Sequence[LabelledQuery], progress: Progress) -> Reading:
    """Rerank every query of a set."""
    task = progress.add_task(label, total=len(queries))
    ndcgs, mrrs, times_ms = [], [], []
    details: dict[str, list[StageDetail]] = {}
    if label.endswith(WARM):
        warm(client, queries)
    all_scores: list[float] = []
    for query in queries:
        began_s = time.perf_counter()
        scores, stages = rank(client, label, query)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        order = sorted(range(len(scores)), key=lambda position: (-scores[position], position))
        all_scores += scores
        for stage in stages:
            details.setdefault(stage.stage, []).append(stage)
        ndcgs.append(ndcg_at_10(query, order))
        mrrs.append(mrr_at_10(query, order))
        progress.advance(task)
    progress.remove_task(task)
    p95_ms = statistics.quantiles(times_ms, n=20)[18] if len(times_ms) > 1 else times_ms[0]
    error = even_error = threshold = None
    model = client.get_model(label.partition(" (")[0])
    if model.score_space is ScoreSpace.PROBABILITY:
        relevant = [gain > 0 for query in queries for gain in query.gains]
        error, threshold = calibration_error(all_scores, relevant), best_threshold(all_scores, relevant)[0]
        even_error = calibration_error(all_scores, relevant, at_even_odds=True)
    return Reading(
        ndcg=statistics.mean(ndcgs),
        mrr=statistics.mean(mrrs),
        mean_ms=statistics.mean(times_ms),
        p95_ms=p95_ms,
        calibration_error=error,
        even_calibration_error=even_error,
        threshold=threshold,
        max_ms=max(times_ms),
        stages={name: _read_stage(found) for name, found in details.items()},
    )


def _read_stage(details: Sequence[StageDetail]) -> StageReading:
    times_ms = sorted(detail.latency_ms for detail in details)
    return StageReading(
        documents=statistics.mean(detail.documents for detail in details),
        p50_ms=times_ms[len(times_ms) // 2],
        p95_ms=times_ms[min(len(times_ms) - 1, len(times_ms) * 95 // 100)],
    )


def measure_set(
    client: RerankClient, name: str, queries: Sequence[LabelledQuery], labels: Sequence[str]
) -> tuple[Table, Table, Table]:
    """Measure every model on one set; return the tables of models, of stages, and of documents sent alone."""
    documents = statistics.mean(len(query.candidates) for query in queries)
    table = Table(title=f"{name}: {len(queries)} queries, {documents:.0f} documents each")
    measures = ("NDCG@10", "reference", "MRR@10", "ECE", "at even odds", "best F1 at")
    for heading in ("model", *measures, "ms a query", "p95 ms", "max ms"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    alone = Table("model", *HEADINGS, title=f"{name}: documents sent alone")
    stages = Table(title=f"{name}: stages")
    for heading in ("model", "stage", "documents", "p50 ms", "p95 ms"):
        stages.add_column(heading, justify="right" if heading.endswith("s") else "left", no_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), transient=True) as progress:
        reference = REFERENCE.get(name, {}) if len(queries) == QUERIES.get(name) else {}
        for label in labels:
            if label.endswith(ALONE):
                model, options = _read_label(label.removesuffix(ALONE))
                alone.add_row(label, *score_alone(client, model, options, queries).row())
                continue
            reading = measure(client, label, queries, progress)
            _add_row(table, label, reading, reference.get(label))
            for stage, found in reading.stages.items():
                row = (label, stage, f"{found.documents:.0f}", f"{found.p50_ms:.0f}", f"{found.p95_ms:.0f}")
                stages.add_row(*row)
            if label in SECOND_PASS:
                again = measure(client, label, queries, progress)
                _add_row(table, f"  {CACHED}", again, None)
    return table, stages, alone


def _add_row(table: Table, label: str, reading: Reading, reference: float | None) -> None:
    expected = "" if reference is None else f"{reference:.3f}"
    estimates = (reading.calibration_error, reading.even_calibration_error, reading.threshold)
    texts = ["" if value is None else f"{value:.2f}" for value in estimates]
    row = (label, f"{reading.ndcg:.3f}", expected, f"{reading.mrr:.3f}", *texts)
    table.add_row(*row, f"{reading.mean_ms:.0f}", f"{reading.p95_ms:.0f}", f"{reading.max_ms:.0f}")


def main() -> None:
    """Measure and print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--sets", default=",".join(QUERIES), help="comma-separated names of sets")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated models")
    parser.add_argument("--queries", type=int, help="queries of each set; default: those of the reference figures")
    parser.add_argument("--target", help="gRPC address of a running server; one is started when not given")
    parser.add_argument("--vector-cache-mb", type=int, help="setting of the server that is started")
    arguments = parser.parse_args()
    console = Console(width=max(150, Console().width))
    with server(arguments.target, arguments.vector_cache_mb) as served, RerankClient(served.address) as client:
        for name in arguments.sets.split(","):
            queries = read_set(arguments.data / name, arguments.queries or QUERIES.get(name))
            tables = measure_set(client, name, queries, arguments.models.split(","))
            console.print(*(table for table in tables if table.row_count))
        if (memory := served.memory_mb()) is not None:
            console.print(f"resident memory of the server: {memory[0]} MB, at most {memory[1]} MB")


if __name__ == "__main__":
    main()
