"""Ways to rank more documents with a listwise model than one call holds: quality, calls and latency.

`--simulate` draws documents of known usefulness and a model that sees it through noise, afresh in every call. Without
it, a model of this process that really is listwise (its scores depend on the company) ranks labelled sets. `depth` is
how many calls follow one another: the latency, in calls.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from rerankd.engine.scoring.tournament import WindowScorer, plan_windows, rank_listwise
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalSettings
from rerankd_adapters.base import ProviderCall

NOISES = (0.0, 0.3, 0.6, 1.0)
"""Spread of the simulated model's error, in spreads of the documents' usefulness."""

Way = Callable[[int, int, WindowScorer], Awaitable[list[int]]]


class Counted:
    """A scorer that counts its calls, and how many of them followed one another."""

    def __init__(self, score: WindowScorer) -> None:
        self._score = score
        self.calls = 0
        self.depth = 0
        self._under_way = 0

    async def __call__(self, window: Sequence[int]) -> Sequence[float]:
        """Make one call."""
        self.calls += 1
        self.depth += self._under_way == 0
        self._under_way += 1
        try:
            await asyncio.sleep(0)
            return await self._score(window)
        finally:
            self._under_way -= 1


async def _sorted(window: Sequence[int], score: WindowScorer) -> list[int]:
    scores = await score(window)
    return [window[place] for place in sorted(range(len(window)), key=lambda place: -scores[place])]


async def one_call(count: int, _window: int, score: WindowScorer) -> list[int]:
    """Rank as if the window were endless."""
    return await _sorted(range(count), score)


async def sliding(count: int, window: int, score: WindowScorer) -> list[int]:
    """RankGPT: from the back to the front, each window keeping half of the one before."""
    order = list(range(count))
    end = count
    while True:
        start = max(0, end - window)
        order[start:end] = await _sorted(order[start:end], score)
        if start == 0:
            return order
        end -= window // 2


async def tournament(count: int, window: int, score: WindowScorer) -> list[int]:
    """Half of each window goes on."""
    return list((await rank_listwise(count, window, score)).order)


async def tournament_with_check(count: int, window: int, score: WindowScorer) -> list[int]:
    """The tournament, then one round of windows that lie across the borders of its result."""
    order = await tournament(count, window, score)
    starts = range(window // 2, count - 1, window)
    parts = await asyncio.gather(*(_sorted(order[start : start + window], score) for start in starts))
    for start, part in zip(starts, parts, strict=True):
        order[start : start + window] = part
    return order


def borda(times: int, *, has_final: bool) -> Way:
    """Partition all documents into windows `times` at random and order them by mean rank. One round."""

    async def way(count: int, window: int, score: WindowScorer) -> list[int]:
        windows = math.ceil(count / window)
        dealt = []
        for turn in range(times):
            left = list(range(count))
            random.Random(turn).shuffle(left)
            dealt += [sorted(left[first::windows]) for first in range(windows)]
        places = [0.0] * count
        for part in await asyncio.gather(*(_sorted(each, score) for each in dealt)):
            for place, position in enumerate(part):
                places[position] += (place + 0.5) / len(part)
        order = sorted(range(count), key=places.__getitem__)
        if has_final:
            order[:window] = await _sorted(order[:window], score)
        return order

    return way


WAYS: dict[str, Way] = {
    "one call (no window)": one_call,
    "sliding windows": sliding,
    "tournament": tournament,
    "tournament, check round": tournament_with_check,
    "mean rank of 2 partitions": borda(2, has_final=False),
    "mean rank of 2 partitions, final round": borda(2, has_final=True),
    "mean rank of 4 partitions, final round": borda(4, has_final=True),
}


def simulated(count: int, noise: float, seed: int) -> tuple[LabelledQuery, WindowScorer]:
    """Draw documents, in the order of a weak first search, and a model whose noise has `noise` times their spread."""
    draw = random.Random(seed)
    useful = [draw.gauss(0, 1) for _ in range(count)]
    found = {worth: worth + draw.gauss(0, 1.5) for worth in useful}
    useful.sort(key=lambda worth: -found[worth])
    best = sorted(useful, reverse=True)[:10]
    gains = [10 - best.index(worth) if worth in best else 0 for worth in useful]

    async def score(window: Sequence[int]) -> Sequence[float]:
        return [useful[position] + draw.gauss(0, noise) for position in window]

    return LabelledQuery("", [""] * count, gains, gains), score


async def simulate(count: int, window: int, noise: float, runs: int) -> list[tuple[str, float, Counted]]:
    """Return each way with its mean NDCG@10."""
    rows = []
    for name, way in WAYS.items():
        figures = []
        for seed in range(runs):
            query, score = simulated(count, noise, seed)
            counted = Counted(score)
            figures.append(ndcg_at_10(query, await way(count, window, counted)))
        rows.append((name, statistics.mean(figures), counted))
    return rows


async def measure(model: str, folder: Path, window: int, queries: int) -> list[tuple[str, float, float, Counted]]:
    """Return each way with its mean NDCG@10 and the share of the one call's first ten that are in its own."""
    provider = LocalProvider(LocalSettings(mode="quality"))
    rows = []
    labelled = [query for query in read_set(folder, queries) if len(query.candidates) > window]
    try:
        unsplit: list[set[int]] = []
        for name, way in WAYS.items():
            figures, shares = [], []
            for number, query in enumerate(labelled):
                counted = Counted(scorer_of(provider, model, query))
                order = await way(len(query.candidates), window, counted)
                if way is one_call:
                    unsplit.append(set(order[:10]))
                figures.append(ndcg_at_10(query, order))
                shares.append(len(unsplit[number] & set(order[:10])) / 10)
            rows.append((name, statistics.mean(figures), statistics.mean(shares), counted))
    finally:
        await provider.close()
    return rows


def scorer_of(provider: LocalProvider, model: str, query: LabelledQuery) -> WindowScorer:
    """Return what scores some of a query's candidates in one call."""

    async def score(window: Sequence[int]) -> Sequence[float]:
        documents = [query.candidates[position] for position in window]
        reply = await provider.rerank(ProviderCall(model=model, query=query.text, documents=documents))
        scores = [-math.inf] * len(window)
        for index, worth in zip(reply.indices, reply.scores, strict=True):
            scores[index] = worth
        return scores

    return score


def main() -> None:
    """Print one table a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--data", type=Path, help="folder of the labelled sets")
    parser.add_argument("--set", dest="sets", nargs="+", default=["scifact", "cranfield"])
    parser.add_argument("--model", default="bm25", help="a listwise model of this process")
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args()
    console = Console(width=110)
    plan = plan_windows(chosen.documents, chosen.window)
    console.print(f"{chosen.documents} documents, window {chosen.window}, tournament rounds {plan.rounds}")
    if chosen.simulate:
        table = Table("way", *(f"noise {noise}" for noise in NOISES), "calls", "depth")
        columns = [asyncio.run(simulate(chosen.documents, chosen.window, noise, chosen.runs)) for noise in NOISES]
        for row in zip(*columns, strict=True):
            table.add_row(row[0][0], *(f"{cell[1]:.3f}" for cell in row), str(row[0][2].calls), str(row[0][2].depth))
        console.print(table)
        return
    for each in chosen.sets:
        table = Table(f"{each}, {chosen.model}", "NDCG@10", "same first ten", "calls", "depth")
        rows = asyncio.run(measure(chosen.model, chosen.data / each, chosen.window, chosen.queries))
        for name, quality, same, counted in rows:
            table.add_row(name, f"{quality:.3f}", f"{same:.2f}", str(counted.calls), str(counted.depth))
        console.print(table)


if __name__ == "__main__":
    main()
