"""The model `bm25`: scoring by shared words."""

from __future__ import annotations

from collections.abc import Sequence

from rerankd.local.bm25 import Bm25Query, WordCounts
from rerankd.local.once import Once
from rerankd.local.scheduler import Ticket, WorkPool
from rerankd_adapters.base import (
    Capabilities,
    ModelInfo,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
)

_SLICE = 16
"""Documents in one unit of work: some milliseconds."""
_SCORED_ON_LOOP = 256
"""Up to so many documents the sums take less time than another trip to a worker."""

BM25_INFO = ModelInfo(
    name="bm25",
    capabilities=Capabilities(
        # Document frequencies are counted over the request's own documents.
        scoring=Scoring.LISTWISE,
        score_space=ScoreSpace.UNBOUNDED,
        cuts_passages=True,
        source="Robertson and Zaragoza 2009; Lucene's form, k1 1.2, b 0.75",
    ),
    description="Shared words, weighted by their rarity among the request's documents; every script, no network.",
)


async def count_words(
    pool: WorkPool, query: Once[Bm25Query], documents: Sequence[str], ticket: Ticket
) -> list[WordCounts]:
    """Count the query's words in every document, on the workers, in slices.

    Returns:
        One entry a document, request order.
    """
    slices = -(-len(documents) // _SLICE)

    def count(number: int) -> list[WordCounts]:
        words = query.get()
        return [words.count(text) for text in documents[number * _SLICE : (number + 1) * _SLICE]]

    counted = await pool.run(count, slices, ticket)
    return [one for part in counted if part is not None for one in part]


async def score_words(pool: WorkPool, query: Once[Bm25Query], documents: Sequence[str], ticket: Ticket) -> list[float]:
    """Score every document by BM25; one number a document, request order."""
    counts = await count_words(pool, query, documents, ticket)
    if len(counts) <= _SCORED_ON_LOOP:
        return query.get().score(counts)
    scores = (await pool.run(lambda _: query.get().score(counts), 1, ticket))[0]
    return scores or []


class Bm25:
    """The model `bm25`. Safe to use from many tasks at once."""

    def __init__(self, pool: WorkPool) -> None:
        self._pool = pool

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`; no tokens are read by a network, so none are counted."""
        query = Once(lambda: Bm25Query(call.query))
        scores = await score_words(self._pool, query, call.documents, Ticket(priority=call.priority))
        return ProviderReply(indices=range(len(scores)), scores=scores, model=BM25_INFO.name)
