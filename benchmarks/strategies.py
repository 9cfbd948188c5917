"""Strategies on labelled sets: quality, calls, depth, tokens and cost, through the running server.

Chat models are a loopback server that knows people's judgements, through noise (`label_judge.py`): the rows compare
plans, not models. `depth` is how many calls followed one another. Cost is by the price of gpt-4.1-mini. The tables of
fusion, heuristic and cascades have real models. Intervals are 95 %, from resampled queries.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks import strategies_cascade, strategies_fusion
from benchmarks.label_judge import Error, LabelJudge, Tally, serving
from benchmarks.quality import server
from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from rerankd.evaluation.measures.intervals import Interval, bootstrap
from rerankd_client import RerankClient

ERRORS: Final = (Error(0.6, 0.5, 0.3), Error(1.0, 0.5, 0.3))
"""Models that are measured."""
READ_USD: Final = 0.40 / 1e6
WRITTEN_USD: Final = 1.60 / 1e6
"""Prices of a token of gpt-4.1-mini, November 2026."""
SIMULATED: Final[Mapping[str, tuple[float, float]]] = {
    "listwise, one call": (0.707, 0.518),
    "listwise, sliding": (0.743, 0.586),
    "listwise, groups, final once": (0.731, 0.555),
    "listwise, groups": (0.757, 0.588),
    "listwise, jointrank 4": (0.760, 0.597),
    "listwise, tourrank 2": (0.769, 0.611),
}
"""NDCG@10 of the simulation in the reference (strategies.md, section A) by noise 0.6 and 1.0, half of it stuck: drawn
documents with ten grades, so its figures compare with one another, not with those of a set."""
_CHAT: Final = {"model": "llm/judge"}
RERANKERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "judge": {"strategy": "llm-judge", "config": _CHAT},
    "judge, grade as text": {"strategy": "llm-judge", "config": {**_CHAT, "reading": "text"}},
    "listwise, one call": {"strategy": "llm-listwise", "config": {**_CHAT, "window": 100, "readings": 1}},
    "listwise, sliding": {"strategy": "llm-listwise", "config": {**_CHAT, "plan": "sliding"}},
    "listwise, groups, final once": {"strategy": "llm-listwise", "config": {**_CHAT, "readings": 1}},
    "listwise, groups": {"strategy": "llm-listwise", "config": _CHAT},
    "listwise, groups, best 40": {"strategy": "llm-listwise", "config": {**_CHAT, "depth": 40}},
    "listwise, jointrank 4": {"strategy": "llm-listwise", "config": {**_CHAT, "plan": "jointrank"}},
    "listwise, tourrank 2": {"strategy": "llm-listwise", "config": {**_CHAT, "plan": "tourrank"}},
    "cascade: bm25, judge of 40": {
        "strategy": "cascade",
        "config": {"stages": [{"model": "local/bm25", "keep": 40}, {"model": "judge"}]},
    },
    "cascade: bm25, listwise of 40": {
        "strategy": "cascade",
        "config": {"stages": [{"model": "local/bm25", "keep": 40}, {"model": "listwise-groups"}]},
    },
}
LAST_STAGES: Final = {"cascade: bm25, judge of 40": "judge", "cascade: bm25, listwise of 40": "listwise, groups"}
"""The last stage of each cascade."""


def key_of(name: str) -> str:
    """Return the key of a row's reranker in the settings."""
    return "-".join("".join(each if each.isalnum() else " " for each in name).split())


@dataclass
class Row:
    """One reranker on one set."""

    name: str
    figures: list[float]
    """NDCG@10 of each query."""
    tally: Tally
    """Of all queries."""
    took_s: float
    """Of all queries."""

    @property
    def ndcg(self) -> Interval:
        """Mean NDCG@10."""
        return bootstrap(self.figures)

    def share(self, total: float) -> float:
        """Return a total for each query."""
        return total / len(self.figures)

    @property
    def cost_usd(self) -> float:
        """Cost of a thousand queries."""
        return 1000 * self.share(self.tally.tokens * READ_USD + self.tally.written * WRITTEN_USD)


def measure(
    client: RerankClient, judge: LabelJudge, name: str, queries: Sequence[LabelledQuery], progress: Progress
) -> Row:
    """Rerank every query by one reranker."""
    judge.tally = Tally()
    figures = []
    began_s = time.perf_counter()
    task = progress.add_task(name, total=len(queries))
    for query in queries:
        response = client.rerank(query.text, query.candidates, model=key_of(name), timeout_s=300)
        figures.append(ndcg_at_10(query, [result.index for result in response.results]))
        progress.advance(task)
    progress.remove_task(task)
    return Row(name, figures, judge.tally, time.perf_counter() - began_s)


def table_of(title: str, rows: Sequence[Row], simulated: int) -> Table:
    """Return the table of one set and one model."""
    table = Table(title=title)
    headings = ("NDCG@10", "95 %", "simulation", "calls", "depth", "tokens", "USD per 1,000", "ms")
    table.add_column("reranker")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        ndcg = row.ndcg
        known = SIMULATED.get(row.name)
        table.add_row(
            row.name,
            f"{ndcg.mean:.3f}",
            f"{ndcg.low:.3f} to {ndcg.high:.3f}",
            "" if known is None else f"{known[simulated]:.3f}",
            f"{row.share(row.tally.calls):.1f}",
            f"{row.share(row.tally.depth):.1f}",
            f"{row.share(row.tally.tokens):,.0f}",
            f"{row.cost_usd:.2f}",
            f"{1000 * row.share(row.took_s):.0f}",
        )
    return table


def cascade_lines(rows: Sequence[Row]) -> list[str]:
    """Compare each cascade with its last stage alone, by paired differences."""
    found = {row.name: row for row in rows}
    lines = []
    for name, last in LAST_STAGES.items():
        if name in found and last in found:
            pairs = zip(found[name].figures, found[last].figures, strict=True)
            gain = bootstrap([mine - other for mine, other in pairs])
            verdict = "LOSS" if gain.high < 0 else "not worse than noise"
            lines.append(f"{name} - {last}: {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), {verdict}")
    return lines


def measure_set(
    client: RerankClient, judge: LabelJudge, queries: Sequence[LabelledQuery], names: Sequence[str], progress: Progress
) -> list[Row]:
    """Measure the order that the set came in, and every reranker."""
    before = [ndcg_at_10(query, range(len(query.candidates))) for query in queries]
    rows = [Row("order before (BM25)", before, Tally(), 0.0)]
    return rows + [measure(client, judge, name, queries, progress) for name in names]


def settings_of(url: str) -> dict[str, str]:
    """Return the server's settings as variables."""
    rerankers = {key_of(name): value for name, value in RERANKERS.items()}
    providers = {"llm": {"provider": "openai_compatible", "base_url": url}}
    return {
        "RERANKD_RERANKERS": json.dumps(rerankers),
        "RERANKD_PROVIDERS": json.dumps(providers),
        "RERANKD_CACHE__ENABLED": "false",
    }


def main() -> None:
    """Print one table for each set and model, then those of real models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--sets", nargs="+", default=["scifact", "cranfield"])
    parser.add_argument("--queries", type=int, default=40, help="of each set, in the order of a hash")
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--no-real", action="store_true", help="leave out the tables of real models")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    chosen = parser.parse_args()
    names = [name for name in RERANKERS if chosen.only in name]
    console = Console(width=150, record=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    for number, error in enumerate(ERRORS):
        judge = LabelJudge(error)
        with serving(judge) as url:
            os.environ |= settings_of(url)
            with (
                server(None) as served,
                RerankClient(served.address) as client,
                Progress(
                    *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)
                ) as progress,
            ):
                for each in chosen.sets:
                    queries = read_set(chosen.data / each, chosen.queries)
                    judge.learn(queries)
                    rows = measure_set(client, judge, queries, names, progress)
                    title = (
                        f"{each}, {len(queries)} queries; noise {error.noise}, stuck {error.stuck}, bias {error.bias}"
                    )
                    console.print(table_of(title, rows, number))
                    for line in cascade_lines(rows):
                        console.print(line)
    if not chosen.no_real:
        for table in real_models(chosen.data, chosen.sets, min(chosen.queries, 20)):
            console.print(table)
    if chosen.write:
        chosen.write.write_text(f"```text\n{console.export_text()}```\n", encoding="utf-8")


def real_models(data: Path, sets: Sequence[str], queries: int) -> list[Table]:
    """Return the tables of fusion and heuristic, and of cascades, whose members are models of the server."""
    tables = []
    cascades = {name.replace(", ", "-").replace(" ", "-"): each for name, each in strategies_cascade.RERANKERS.items()}
    for rerankers, compare_sets in (
        (strategies_fusion.RERANKERS, strategies_fusion.compare_sets),
        (cascades, strategies_cascade.compare_sets),
    ):
        os.environ["RERANKD_RERANKERS"] = json.dumps(rerankers)
        with server(None) as served, RerankClient(served.address) as client:
            tables.append(compare_sets(client, data, sets, queries))
    return tables


if __name__ == "__main__":
    main()
