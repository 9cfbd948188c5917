"""The model `bm25`: scoring by shared words."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from rerankd.local.bm25 import MOST_QUERY_WORDS, Bm25Query, WordCounts
from rerankd.local.tokens.words import cut_text
from rerankd_adapters.base import (
    Capabilities,
    ModelInfo,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
)

_SLICE_CHARACTERS = 32_768
"""Text processed in one iteration of the event loop: at most 1 ms for English."""

CUT_QUERY: Final = f"the query was cut: only its first {MOST_QUERY_WORDS} different words are compared"
"""Warning of a query with more words than count."""

BM25_INFO = ModelInfo(
    name="bm25",
    capabilities=Capabilities(
        # Document frequencies are counted over the request's own documents.
        scoring=Scoring.LISTWISE,
        score_space=ScoreSpace.UNBOUNDED,
        minimum_score=0.0,
        cuts_passages=True,
        source="Robertson and Zaragoza 2009; Lucene's form, k1 1.2, b 0.75",
    ),
    description="Shared words, weighted by their rarity among the request's documents; every script, no network.",
)


class WordScorer:
    """Scores by shared words on the event loop, one slice of text at a time. Task-safe within one event loop.

    A worker thread would not relieve the loop: splitting words holds the GIL, for which the loop would wait 5 ms at
    each wake-up. Between two slices, of the same call or of two, the loop runs its other tasks.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def score(self, words: Bm25Query, documents: Sequence[str]) -> list[float]:
        """Score every document by BM25; one score a document, request order.

        Up to one slice of text is scored without yielding to the event loop.
        """
        return words.score(await self._count(words, documents))

    async def score_and_match(self, query: str, documents: Sequence[str]) -> tuple[list[float], list[float]]:
        """Score every document by BM25 and by its share of the query's words; two lists in request order."""
        words = Bm25Query(query)
        counts = await self._count(words, documents)
        return words.score(counts), words.matches(counts)

    async def _count(self, words: Bm25Query, documents: Sequence[str]) -> list[WordCounts]:
        counts: list[WordCounts] = []
        ends = list(accumulate(map(len, documents)))
        start = read = 0
        while start < len(documents):
            if start:
                await self._rest()
            end = max(bisect_right(ends, read + _SLICE_CHARACTERS), start + 1)
            if ends[start] - read > _SLICE_CHARACTERS:
                counts.append(await self._count_long(words, documents[start]))
            else:
                counts += map(words.count, documents[start:end])
            start, read = end, ends[end - 1]
        return counts

    async def _count_long(self, words: Bm25Query, document: str) -> WordCounts:
        parts: list[WordCounts] = []
        for text in cut_text(document, _SLICE_CHARACTERS):
            if parts:
                await self._rest()
            parts.append(words.count(text))
        return WordCounts.add(parts)

    async def _rest(self) -> None:
        """Yield to the event loop, and wait until other calls have had their slice."""
        async with self._turn:
            await asyncio.sleep(0)


class Bm25:
    """The model `bm25`. Task-safe within one event loop."""

    def __init__(self, words: WordScorer) -> None:
        self._words = words

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`; reports no tokens, since no network runs."""
        query = Bm25Query(call.query)
        scores = await self._words.score(query, call.documents)
        warnings = [CUT_QUERY] if query.is_cut else []
        return ProviderReply(indices=range(len(scores)), scores=scores, model=BM25_INFO.name, warnings=warnings)
