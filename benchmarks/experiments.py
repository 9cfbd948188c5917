"""Replays logged calls with another model, and checks the experiment's NDCG against the labels.

Queries of a labelled set are reranked by one model and logged; the labels are imported by `rerankd judgements
import`. The experiment's difference of NDCG@10 must equal the one computed from the labels and the results of both runs
of each query, as the run log has them.

    python -m benchmarks.experiments --data ../shared/data/ir
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import grpc
from rich.progress import Progress

from benchmarks.quality import server
from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from rerank.v1 import evaluation_service_pb2 as pb
from rerank.v1.evaluation_service_pb2_grpc import EvaluationServiceStub
from rerankd.console.experiment_report import print_experiment
from rerankd.runs.run import Run
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.stored_runs import StoredRuns
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from rerankd_client import RerankClient

_MOST_ERROR: Final = 1e-9


def import_labels(folder: Path, work: Path) -> None:
    """Import the set's judgements, with texts as calls send them."""
    documents = work / "documents.jsonl"
    with (
        gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as corpus,
        documents.open("w", encoding="utf-8") as out,
    ):
        for row in map(json.loads, corpus):
            out.write(json.dumps({"id": row["id"], "text": f"{row['title']} {row['text']}".strip()}) + "\n")
    files = [str(folder / "qrels.tsv.gz"), "--queries", str(folder / "queries.jsonl.gz"), "--documents", str(documents)]
    subprocess.run([sys.executable, "-m", "rerankd.cli", "judgements", "import", *files, "--clip"], check=True)


def log_calls(client: RerankClient, queries: Sequence[LabelledQuery], model: str) -> None:
    """Rerank every query once."""
    with Progress(transient=True) as progress:
        for query in progress.track(queries, description=model):
            client.rerank(query.text, query.candidates, model=model)


def run_experiment(stub: EvaluationServiceStub, request: pb.CreateExperimentRequest) -> tuple[pb.Experiment, float]:
    """Run an experiment to its end; return it, and the seconds it took."""
    began_s = time.perf_counter()
    found = stub.CreateExperiment(request).experiment
    with Progress(transient=True) as progress:
        task = progress.add_task("replaying", total=found.total)
        while found.state == pb.EXPERIMENT_STATE_RUNNING:
            time.sleep(0.1)
            found = stub.GetExperiment(pb.GetExperimentRequest(experiment_id=found.id)).experiment
            progress.update(task, completed=found.ended)
    return found, time.perf_counter() - began_s


async def replays_of(state: Path, experiment: str) -> list[tuple[Run, Run]]:
    """Return the runs of an experiment in the log, each with the run that it replays."""
    database = LazyDatabase(StoreSettings(state_dir=str(state)))
    runs = StoredRuns(database)
    found = []
    for replay in (await runs.page(RunFilter(experiment_id=experiment), 2000, with_details=True)).runs:
        before = await runs.get(replay.replay_of)
        assert before is not None
        found.append((before, replay))
    await database.close()
    return found


def direct_difference(pairs: Sequence[tuple[Run, Run]], queries: Mapping[str, LabelledQuery]) -> float:
    """Return the mean difference of NDCG@10 by the labels of the set."""
    differences = []
    for before, after in pairs:
        query = queries[_query(before)]
        old, new = (ndcg_at_10(query, _order(run)) for run in (before, after))
        differences.append(new - old)
    return sum(differences) / len(differences)


def _query(run: Run) -> str:
    assert run.details is not None
    return run.details.query


def _order(run: Run) -> list[int]:
    assert run.details is not None
    return [result.index for result in run.details.results]


def check(found: pb.Experiment, direct: float, elapsed_s: float) -> None:
    """Print the direct figure beside that of the experiment, and fail if they differ."""
    error = abs(direct - found.summary.ndcg.difference.mean)
    print(f"{elapsed_s:.1f} s, {found.concurrency} calls at once")
    print(f"difference of NDCG@10 from the labels: {direct:+.12f}; the experiment's is off by {error:.1e}")
    if error > _MOST_ERROR:
        raise SystemExit("the experiment does not say what the labels say")


def main() -> None:
    """Run the experiment and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--set", default="wikiqa", help="name of the set")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--baseline", default="local/bm25")
    parser.add_argument("--candidate", default="local/default")
    arguments = parser.parse_args()
    queries = read_set(arguments.data / arguments.set, arguments.queries)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        os.environ["RERANKD_STORE__STATE_DIR"] = str(state)
        os.environ["RERANKD_RUNS"] = json.dumps({"calls": "all", "capture": "full", "durability": "sync"})
        import_labels(arguments.data / arguments.set, Path(folder))
        with server(None) as served, grpc.insecure_channel(served.address) as channel:
            with RerankClient(served.address) as client:
                log_calls(client, queries, arguments.baseline)
            runs = pb.RunSelection(model=arguments.baseline, max_runs=len(queries))
            request = pb.CreateExperimentRequest(candidate=arguments.candidate, runs=runs)
            stub = EvaluationServiceStub(channel)
            found, elapsed_s = run_experiment(stub, request)
            worst = stub.ListExperimentQueries(pb.ListExperimentQueriesRequest(experiment_id=found.id, page_size=5))
            pairs = asyncio.run(replays_of(state, found.id))
        direct = direct_difference(pairs, {query.text: query for query in queries})
    assert len(pairs) == len(queries) == found.summary.queries
    print_experiment(found, worst.queries)
    check(found, direct, elapsed_s)


if __name__ == "__main__":
    main()
