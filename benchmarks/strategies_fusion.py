"""Heuristic beside BM25, and a fusion beside its best member, on labelled sets through the running server.

Both rerankers have their default weights. A fusion's members are read from its explanations, so that one call a query
has all figures. Gains are paired: mean over queries of the difference, with a bootstrap interval of 95 %; a loss beyond
noise is one whose whole interval is below 0.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.quality import QUERIES, server
from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from rerankd.evaluation.measures.intervals import Interval, bootstrap
from rerankd_client import RerankClient, RerankResponse

WORDS: Final = "local/bm25"
MEMBERS: Final = (WORDS, "local/all-minilm-l6-v2", "local/ms-marco-minilm-l12-v2")
RERANKERS: Final[Mapping[str, Any]] = {
    "heuristic": {"strategy": "heuristic"},
    "fusion": {"strategy": "fusion", "config": {"members": [{"model": model} for model in MEMBERS]}},
}
"""The section `rerankers` of the server that is measured."""


@dataclass(frozen=True)
class Comparison:
    """One reranker beside one model on one set."""

    reranker: str
    ndcg: float
    """Mean NDCG@10 of the reranker."""
    model: str
    """The best of the models it is compared with."""
    model_ndcg: float
    gain: Interval
    """The reranker's NDCG@10 less the model's."""

    @property
    def is_loss(self) -> bool:
        """Whether the reranker is worse by more than noise."""
        return self.gain.high < 0


def compare(reranker: str, own: Sequence[float], models: Mapping[str, Sequence[float]]) -> Comparison:
    """Compare a reranker with the best of several models.

    Args:
        reranker: Its key.
        own: NDCG@10 of n queries, n >= 1.
        models: NDCG@10 of the same queries by model, one or more.
    """
    best = max(models, key=lambda model: sum(models[model]))
    gain = bootstrap([mine - other for mine, other in zip(own, models[best], strict=True)])
    return Comparison(reranker, sum(own) / len(own), best, sum(models[best]) / len(own), gain)


def compare_heuristic(client: RerankClient, queries: Sequence[LabelledQuery], progress: Progress) -> Comparison:
    """Rerank every query by the heuristic and by BM25."""
    own, words = [], []
    for query in progress.track(queries, description="heuristic"):
        own.append(ndcg_at_10(query, _order(client.rerank(query.text, query.candidates, model="heuristic"))))
        words.append(ndcg_at_10(query, _order(client.rerank(query.text, query.candidates, model=WORDS))))
    return compare("heuristic", own, {WORDS: words})


def compare_fusion(client: RerankClient, queries: Sequence[LabelledQuery], progress: Progress) -> Comparison:
    """Rerank every query by the fusion, whose explanations have the ranks of its members."""
    own: list[float] = []
    members: dict[str, list[float]] = {model: [] for model in MEMBERS}
    for query in progress.track(queries, description="fusion"):
        response = client.rerank(query.text, query.candidates, model="fusion", include_details=True, timeout_s=600)
        own.append(ndcg_at_10(query, _order(response)))
        for model, order in _orders_of_members(response):
            members[model].append(ndcg_at_10(query, order))
    return compare("fusion", own, members)


def _order(response: RerankResponse) -> list[int]:
    return [result.index for result in response.results]


def _orders_of_members(response: RerankResponse) -> Iterator[tuple[str, list[int]]]:
    """Return the order of each member, equal scores by index."""
    for number, model in enumerate(MEMBERS):
        scored = [(-(result.explanation[number].relevance_score or 0.0), result.index) for result in response.results]
        yield model, [index for _, index in sorted(scored)]


def compare_sets(client: RerankClient, data: Path, names: Sequence[str], most: int | None) -> Table:
    """Compare on every set, with a progress bar.

    Args:
        client: Of a server with `RERANKERS`.
        data: Folder with one folder a set.
        names: Of the sets.
        most: Queries of a set; `None`: all for the heuristic, those of `make bench-quality` for the fusion.
    """
    table = Table(title="rerankers beside the best of their models, NDCG@10")
    for heading in ("set", "queries", "reranker", "NDCG@10", "best model", "its NDCG@10", "gain", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("set", "reranker", "best model") else "right")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), transient=True) as progress:
        for name in names:
            queries = read_set(data / name, most)
            _add_row(table, name, len(queries), compare_heuristic(client, queries, progress))
            queries = queries[: QUERIES.get(name)]
            _add_row(table, name, len(queries), compare_fusion(client, queries, progress))
    return table


def _add_row(table: Table, name: str, queries: int, found: Comparison) -> None:
    interval = f"{found.gain.low:+.3f} to {found.gain.high:+.3f}{' LOSS' if found.is_loss else ''}"
    figures = (found.reranker, f"{found.ndcg:.3f}", found.model, f"{found.model_ndcg:.3f}", f"{found.gain.mean:+.3f}")
    table.add_row(name, str(queries), *figures, interval)


def main() -> None:
    """Compare and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--sets", default=",".join(QUERIES), help="comma-separated names of sets")
    parser.add_argument("--queries", type=int, help="queries of each set")
    arguments = parser.parse_args()
    os.environ["RERANKD_RERANKERS"] = json.dumps(RERANKERS)
    with server(None) as served, RerankClient(served.address) as client:
        table = compare_sets(client, arguments.data, arguments.sets.split(","), arguments.queries)
    Console(width=max(120, Console().width)).print(table)


if __name__ == "__main__":
    main()
