"""Ways to rank more documents with a listwise model than one call holds: quality, calls and latency.

`--simulate` draws documents of known usefulness and a model that sees it through noise: a part is drawn afresh in every
call, `--stuck` stays with a document, and late documents of a window lose up to `--bias`. Without it, a model of this
process that really is listwise (its scores depend on the company) ranks labelled sets. `depth` is how many calls follow
one another: the latency, in calls.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.retrieval_sets import LabelledQuery, ndcg_at_10, read_set
from rerankd.engine.scoring.request_scoring import order_by_score
from rerankd.engine.scoring.tournament import Rules, WindowRanker, plan_windows, rank_listwise
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalSettings
from rerankd.strategies.listwise.plans import JointRank, Plan, TourRank
from rerankd_adapters.base import ProviderCall

NOISES = (0.0, 0.3, 0.6, 1.0)
"""Spread of the simulated model's error, in spreads of the documents' usefulness."""

Way = Callable[[int, int, WindowRanker], Awaitable[Sequence[int]]]


class Counted:
    """A model that counts its calls, and how many of them followed one another."""

    def __init__(self, rank: WindowRanker) -> None:
        self._rank = rank
        self.calls = 0
        self.depth = 0
        self._under_way = 0

    async def __call__(self, window: Sequence[int]) -> Sequence[int]:
        """Make one call."""
        self.calls += 1
        self.depth += self._under_way == 0
        self._under_way += 1
        try:
            await asyncio.sleep(0)
            return await self._rank(window)
        finally:
            self._under_way -= 1


async def one_call(count: int, _window: int, rank: WindowRanker) -> list[int]:
    """Rank as if the window were endless."""
    return list(await rank(range(count)))


async def sliding(count: int, window: int, rank: WindowRanker) -> list[int]:
    """RankGPT: from the back to the front, each window keeping half of the one before."""
    order = list(range(count))
    end = count
    while True:
        start = max(0, end - window)
        order[start:end] = await rank(order[start:end])
        if start == 0:
            return order
        end -= window // 2


def tournament(**rules: int | None) -> Way:
    """Return the tournament by the given `Rules`."""

    async def way(count: int, window: int, rank: WindowRanker) -> Sequence[int]:
        return (await rank_listwise(count, Rules(window, **rules), rank)).order

    return way


async def halving(count: int, window: int, rank: WindowRanker) -> Sequence[int]:
    """Half of each window goes on, and the final is read once."""
    return await tournament(keep=window // 2, readings=1)(count, window, rank)


def borda(times: int, *, has_final: bool) -> Way:
    """Partition all documents into windows `times` at random and order them by mean rank. One round."""

    async def way(count: int, window: int, rank: WindowRanker) -> list[int]:
        windows = math.ceil(count / window)
        dealt = []
        for turn in range(times):
            left = list(range(count))
            random.Random(turn).shuffle(left)
            dealt += [sorted(left[first::windows]) for first in range(windows)]
        ranks = [0.0] * count
        for part in await asyncio.gather(*map(rank, dealt)):
            for depth, position in enumerate(part):
                ranks[position] += (depth + 0.5) / len(part)
        order = sorted(range(count), key=ranks.__getitem__)
        if has_final:
            order[:window] = await rank(order[:window])
        return order

    return way


def planned(plan: Callable[[int], Plan]) -> Way:
    """Return a plan of the strategy llm-listwise, made for a window."""

    async def way(count: int, window: int, rank: WindowRanker) -> Sequence[int]:
        return (await plan(window).rank(count, rank, random.Random(count))).order

    return way


WAYS: dict[str, Way] = {
    "one call (no window)": one_call,
    "sliding windows": sliding,
    "half goes on, final once": halving,
    "a fifth goes on, final once": tournament(readings=1),
    "a fifth goes on, final twice": tournament(readings=2),
    "tournament": tournament(),
    "mean rank of 2 partitions": borda(2, has_final=False),
    "mean rank of 2 partitions, final round": borda(2, has_final=True),
    "JointRank, 4 deals": planned(lambda window: JointRank(window, 4)),
    "TourRank, 1 tournament": planned(lambda window: TourRank(window, 1)),
    "TourRank, 2 tournaments": planned(lambda window: TourRank(window, 2)),
}


class Error(NamedTuple):
    """What a simulated model gets wrong, in spreads of the documents' usefulness."""

    noise: float
    stuck: float
    """Share of the noise's variance that stays with a document, 0 to 1."""
    bias: float
    """What the last document of a window loses to the first."""


def simulated(count: int, error: Error, seed: int) -> tuple[LabelledQuery, WindowRanker]:
    """Draw documents, in the order of a weak first search, and a model that errs."""
    draw = random.Random(seed)
    useful = [draw.gauss(0, 1) for _ in range(count)]
    found = {worth: worth + draw.gauss(0, 1.5) for worth in useful}
    useful.sort(key=lambda worth: -found[worth])
    best = sorted(useful, reverse=True)[:10]
    gains = [10 - best.index(worth) if worth in best else 0 for worth in useful]
    fresh = error.noise * math.sqrt(1 - error.stuck)
    seen = [worth + draw.gauss(0, error.noise * math.sqrt(error.stuck)) for worth in useful] if error.stuck else useful

    async def rank(window: Sequence[int]) -> Sequence[int]:
        lost = error.bias / len(window)
        scores = [seen[each] + draw.gauss(0, fresh) - lost * depth for depth, each in enumerate(window)]
        return order_by_score(window, scores)

    return LabelledQuery("", [""] * count, gains, gains), rank


async def simulate(count: int, window: int, error: Error, runs: int) -> list[tuple[str, float, Counted]]:
    """Return each way with its mean NDCG@10."""
    rows = []
    for name, way in WAYS.items():
        figures = []
        for seed in range(runs):
            query, rank = simulated(count, error, seed)
            counted = Counted(rank)
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
                counted = Counted(ranker_of(provider, model, query))
                order = await way(len(query.candidates), window, counted)
                if way is one_call:
                    unsplit.append(set(order[:10]))
                figures.append(ndcg_at_10(query, order))
                shares.append(len(unsplit[number] & set(order[:10])) / 10)
            rows.append((name, statistics.mean(figures), statistics.mean(shares), counted))
    finally:
        await provider.close()
    return rows


def ranker_of(provider: LocalProvider, model: str, query: LabelledQuery) -> WindowRanker:
    """Return what ranks some of a query's candidates in one call."""

    async def rank(window: Sequence[int]) -> Sequence[int]:
        documents = [query.candidates[position] for position in window]
        reply = await provider.rerank(ProviderCall(model=model, query=query.text, documents=documents))
        scores = [-math.inf] * len(window)
        for index, worth in zip(reply.indices, reply.scores, strict=True):
            scores[index] = worth
        return order_by_score(window, scores)

    return rank


def main() -> None:
    """Print one table a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--stuck", type=float, default=0.0, help="share of the noise that stays with a document")
    parser.add_argument("--bias", type=float, default=0.0, help="what the last document of a window loses")
    parser.add_argument("--data", type=Path, help="folder of the labelled sets")
    parser.add_argument("--set", dest="sets", nargs="+", default=["scifact", "cranfield"])
    parser.add_argument("--model", default="bm25", help="a listwise model of this process")
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args()
    console = Console(width=110)
    plan = plan_windows(chosen.documents, Rules(chosen.window))
    console.print(f"{chosen.documents} documents, window {chosen.window}, tournament rounds {plan.rounds}")
    if chosen.simulate:
        table = Table("way", *(f"noise {noise}" for noise in NOISES), "calls", "depth")
        errors = [Error(noise, chosen.stuck, chosen.bias) for noise in NOISES]
        columns = [asyncio.run(simulate(chosen.documents, chosen.window, error, chosen.runs)) for error in errors]
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
