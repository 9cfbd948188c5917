"""Cascades beside their last stage alone, on labelled sets through the running server: quality and time.

The last stage alone reads every candidate; a cascade reads the best 20 of a cheaper stage. Gains are paired, as in
`strategies_fusion`. Pair scores are not cached, so that each call pays for what it reads.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.quality import QUERIES, server
from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from benchmarks.strategies_fusion import Comparison, compare
from rerankd_client import RerankClient

LAST: Final = "local/ms-marco-minilm-l12-v2"
KEEP: Final = 20


def _cascade(*stages: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"model": model, "keep": KEEP} for model in stages]
    return {"strategy": "cascade", "config": {"stages": [*listed, {"model": LAST}]}}


RERANKERS: Final[Mapping[str, Any]] = {
    "hybrid": {
        "strategy": "fusion",
        "config": {"members": [{"model": "local/bm25"}, {"model": "local/all-minilm-l6-v2"}]},
    },
    "words, then reading": _cascade("local/bm25"),
    "vectors, then reading": _cascade("local/all-minilm-l6-v2"),
    "hybrid, then reading": _cascade("hybrid"),
}
"""Cascades by what they are, and the fusion within one of them."""
CASCADES: Final = {name.replace(", ", "-").replace(" ", "-"): name for name in RERANKERS if "," in name}
"""Descriptions by key."""


def measure(
    client: RerankClient, model: str, queries: Sequence[LabelledQuery], progress: Progress
) -> tuple[list[float], float]:
    """Rerank every query; return the NDCG@10 of each, and the median of the server's milliseconds."""
    found, times = [], []
    for query in progress.track(queries, description=model):
        answer = client.rerank(query.text, query.candidates, model=model, cache="bypass", timeout_s=600)
        found.append(ndcg_at_10(query, [result.index for result in answer.results]))
        times.append(answer.latency_ms)
    return found, median(times)


def compare_sets(client: RerankClient, data: Path, names: Sequence[str], most: int | None) -> Table:
    """Compare on every set, with a progress bar.

    Args:
        client: Of a server with the rerankers.
        data: Folder with one folder a set.
        names: Of the sets.
        most: Queries of a set; `None`: those of `make bench-quality`.
    """
    table = Table(title=f"cascades of the best {KEEP} beside {LAST} on all candidates, NDCG@10")
    for heading in ("set", "queries", "cascade", "NDCG@10", "ms", "last alone", "its ms", "gain", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("set", "cascade") else "right")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), transient=True) as progress:
        for name in names:
            queries = read_set(data / name, most or QUERIES.get(name))
            alone, alone_ms = measure(client, LAST, queries, progress)
            for key, description in CASCADES.items():
                own, own_ms = measure(client, key, queries, progress)
                _add_row(table, (name, str(len(queries))), compare(description, own, {LAST: alone}), own_ms, alone_ms)
    return table


def _add_row(table: Table, of: tuple[str, str], found: Comparison, own_ms: float, alone_ms: float) -> None:
    interval = f"{found.gain.low:+.3f} to {found.gain.high:+.3f}{' LOSS' if found.is_loss else ''}"
    figures = (f"{found.ndcg:.3f}", f"{own_ms:.0f}", f"{found.model_ndcg:.3f}", f"{alone_ms:.0f}")
    table.add_row(*of, found.reranker, *figures, f"{found.gain.mean:+.3f}", interval)


def main() -> None:
    """Compare and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--sets", default=",".join(QUERIES), help="comma-separated names of sets")
    parser.add_argument("--queries", type=int, help="queries of each set")
    arguments = parser.parse_args()
    keys = {description: key for key, description in CASCADES.items()}
    os.environ["RERANKD_RERANKERS"] = json.dumps({keys.get(name, name): each for name, each in RERANKERS.items()})
    with server(None) as served, RerankClient(served.address) as client:
        table = compare_sets(client, arguments.data, arguments.sets.split(","), arguments.queries)
    Console(width=max(130, Console().width)).print(table)


if __name__ == "__main__":
    main()
