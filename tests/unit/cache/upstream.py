"""A model whose answers the test gives when it likes, and a scheduler's view of the calls that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rerankd.cache.keys import ScoreScope
from rerankd.cache.memory import ScoreMemory
from rerankd.cache.pair_scores import CacheUse, Filled, PairScores
from rerankd.cache.redis_tier import RedisTier
from tests.support.waiting import settle

SCOPE = ScoreScope("a-provider", "a-model", "a query")
"""Turns of the event loop after which nothing moves any more without an answer from upstream."""


class UpstreamError(Exception):
    """The model failed."""


def score_of(document: str) -> float:
    """The one right score of a document."""
    return len(document) + sum(map(ord, document)) / 1000


class Upstream:
    """Collects what is asked of it; every question waits for its answer."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open: list[tuple[list[str], asyncio.Future[None]]] = []

    def fetch_for(self, documents: Sequence[str]) -> Callable[[Sequence[int]], Awaitable[list[float]]]:
        """Make the `fetch` of a call with these documents."""

        async def fetch(positions: Sequence[int]) -> list[float]:
            asked = [documents[position] for position in positions]
            assert asked, "nothing is never asked for"
            assert len(set(asked)) == len(asked) or len(asked) == len(documents)
            self.asked.append(asked)
            question = asked, asyncio.get_running_loop().create_future()
            self.open.append(question)
            try:
                await question[1]
            finally:
                self.open.remove(question)
            return [score_of(document) for document in asked]

        return fetch

    @property
    def pairs(self) -> int:
        """Pairs asked for so far."""
        return sum(map(len, self.asked))

    async def answer(self, number: int = 0) -> None:
        """Answer the open question of that number."""
        self.open[number][1].set_result(None)
        await settle()

    async def fail(self, number: int = 0) -> None:
        """Fail the open question of that number."""
        self.open[number][1].set_exception(UpstreamError())
        await settle()


def new_scores(redis: RedisTier | None = None) -> PairScores:
    """Make a cache with room for everything."""
    return PairScores(ScoreMemory(1024 * 1024, 60), redis)


async def begin(
    scores: PairScores, upstream: Upstream, documents: Sequence[str], use: CacheUse = CacheUse.READ_WRITE
) -> asyncio.Task[Filled]:
    """Start a call and let it come as far as it can."""
    call = asyncio.create_task(scores.fill(SCOPE, documents, use, upstream.fetch_for(documents)))
    await settle()
    return call
