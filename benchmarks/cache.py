"""What the pair-score cache costs a pair, and what it saves on a log of real queries.

The log asks every query several times; each time most of its candidates are those of the time before and the others
are new, as when an index or a filter has changed a little. Redis is the `redis-server` that the tests use.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.retrieval_sets import LabelledQuery, read_set
from rerankd.cache.keys import Naming, ScoreScope
from rerankd.cache.memory import ScoreMemory
from rerankd.cache.opening import open_pair_scores
from rerankd.cache.pair_scores import CacheUse, PairScores
from rerankd.cache.settings import CacheSettings
from tests.support.redis import RedisServer

SETS = ("scifact", "cranfield", "wikiqa", "noveleval")
SCOPE = ScoreScope("a-provider", "a-model", "what is the capital of France", parameters={"truncate": "end"})
PATIENT_MS = 10_000.0
"""Redis is to be measured here, not given up on."""


async def one_score_each(positions: Sequence[int]) -> list[float]:
    return [0.5] * len(positions)


def texts(calls: int, documents: int, name: str) -> list[list[str]]:
    """Make candidate lists of 300 characters a document, all different."""
    filling = "some words of an ordinary document " * 8
    return [[f"{name} {call} {number} {filling}"[:300] for number in range(documents)] for call in range(calls)]


async def us_per_pair(lists: list[list[str]], step: Callable[[list[str]], Awaitable[object]]) -> float:
    began_s = time.perf_counter()
    for documents in lists:
        await step(documents)
    return (time.perf_counter() - began_s) / sum(map(len, lists)) * 1e6


async def measure_parts(lists: list[list[str]]) -> list[tuple[str, float]]:
    """Measure hashing and the store by themselves."""
    memory = ScoreMemory(1024 * 1024 * 1024, 3600).shard(0)
    keys = [Naming(SCOPE).keys(documents) for documents in lists]
    by_keys = {documents[0]: found for documents, found in zip(lists, keys, strict=True)}

    async def hash_all(documents: list[str]) -> None:
        Naming(SCOPE).keys(documents)

    async def look_up(documents: list[str]) -> None:
        memory.get_many(by_keys[documents[0]])

    async def store(documents: list[str]) -> None:
        memory.set_many(dict.fromkeys(by_keys[documents[0]], 0.5))

    return [
        ("key of a document of 300 characters", await us_per_pair(lists, hash_all)),
        ("memory alone: absent", await us_per_pair(lists, look_up)),
        ("memory alone: store", await us_per_pair(lists, store)),
        ("memory alone: found", await us_per_pair(lists, look_up)),
    ]


@asynccontextmanager
async def opened(url: str = "") -> AsyncIterator[PairScores]:
    scores = open_pair_scores(CacheSettings(max_mb=1024, redis_url=url, redis_timeout_ms=PATIENT_MS))
    await scores.start()
    yield scores
    await scores.close()


async def measure_calls(lists: list[list[str]], url: str) -> list[tuple[str, float]]:
    """Measure whole calls, keys included."""

    async def fill_all(scores: PairScores) -> float:
        return await us_per_pair(
            lists, lambda documents: scores.fill(SCOPE, documents, CacheUse.READ_WRITE, one_score_each)
        )

    readings = []
    for name, address in (("memory", ""), ("memory and Redis", url)):
        async with opened(address) as scores:
            readings.append((f"call, {name}: all miss, then stored", await fill_all(scores)))
            readings.append((f"call, {name}: all in memory", await fill_all(scores)))
    async with opened(url) as scores:
        readings.append(("call, memory and Redis: all in Redis", await fill_all(scores)))
        if misses := scores.counters().misses:
            raise SystemExit(f"{misses} pairs were not in Redis")
    return readings


async def cost_table(calls: int, documents: int) -> Table:
    lists = texts(calls, documents, "text")
    redis = RedisServer()
    try:
        readings = [*await measure_parts(lists), *await measure_calls(lists, redis.url)]
    finally:
        redis.kill()
    table = Table(title=f"{calls} calls of {documents} documents")
    table.add_column("what")
    table.add_column("us a pair", justify="right")
    for name, reading in readings:
        table.add_row(name, f"{reading:.2f}")
    return table


def replay_log(queries: Sequence[LabelledQuery], repeats: int, overlap: float) -> list[tuple[str, list[str]]]:
    """Make a log of (query, candidates), each query `repeats` times, in mixed order.

    A query's first call takes as many of its candidates as leave new ones for the others.
    """
    rng = random.Random(7)
    log = []
    for query in queries:
        fresh = list(dict.fromkeys(query.candidates))
        size = max(1, int(len(fresh) / (1 + (repeats - 1) * (1 - overlap))))
        kept = round(size * overlap)
        rng.shuffle(fresh)
        candidates, fresh = fresh[:size], fresh[size:]
        turns = []
        for _ in range(repeats):
            turns.append((rng.random(), query.text, candidates))
            new, fresh = fresh[: size - kept], fresh[size - kept :]
            candidates = [*rng.sample(candidates, len(candidates) - len(new)), *new]
        ordered = sorted(turn[0] for turn in turns)
        log += [(moment, text, documents) for moment, (_, text, documents) in zip(ordered, turns, strict=True)]
    return [(text, documents) for _, text, documents in sorted(log, key=lambda entry: entry[0])]


async def replay(log: Sequence[tuple[str, list[str]]]) -> tuple[int, float]:
    """Run a log through the cache; return pairs sent upstream and the cache's own us a pair."""
    scores, sent = open_pair_scores(CacheSettings()), 0
    began_s = time.perf_counter()
    for query, documents in log:
        scope = ScoreScope("a-provider", "a-model", query)
        sent += (await scores.fill(scope, documents, CacheUse.READ_WRITE, one_score_each)).fetched
    return sent, (time.perf_counter() - began_s) / sum(len(documents) for _, documents in log) * 1e6


def overlap_of(log: Sequence[tuple[str, list[str]]]) -> float:
    """Measure which part of a repeated query's candidates its last call held."""
    last: dict[str, set[str]] = {}
    shared = total = 0
    for query, documents in log:
        if query in last:
            shared += len(last[query].intersection(documents))
            total += len(documents)
        last[query] = set(documents)
    return shared / total if total else 0.0


async def replay_table(data: Path, repeats: int, overlap: float) -> Table:
    table = Table(title=f"every query {repeats} times, {overlap:.0%} of its candidates as the time before")
    headings = ("set", "calls", "overlap", "pairs without", "pairs with", "sent", "hit rate", "us a pair")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "set" else "right", no_wrap=True)
    for name in SETS:
        log = replay_log(read_set(data / name), repeats, overlap)
        asked = sum(len(documents) for _, documents in log)
        sent, cost_us = await replay(log)
        rates = f"{sent / asked:.0%}", f"{1 - sent / asked:.0%}"
        table.add_row(
            name, str(len(log)), f"{overlap_of(log):.0%}", f"{asked:,}", f"{sent:,}", *rates, f"{cost_us:.2f}"
        )
    return table


async def run(arguments: argparse.Namespace) -> None:
    console = Console(width=max(100, Console().width))
    console.print(await cost_table(arguments.calls, arguments.documents))
    if arguments.data:
        console.print(await replay_table(arguments.data, arguments.repeats, arguments.overlap))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with one folder a set; without it no log is replayed")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5, help="calls of every query")
    parser.add_argument("--overlap", type=float, default=0.7, help="part of the candidates that stays, 0 to 1")
    arguments = parser.parse_args()
    uvloop.run(run(arguments))


if __name__ == "__main__":
    main()
