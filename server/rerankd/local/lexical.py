"""The model `bm25`: scoring by shared words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rerankd.local.bm25 import Bm25Query, WordCounts
from rerankd.local.words import cut_text
from rerankd_adapters.base import (
    Capabilities,
    ModelInfo,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
)

_SLICE_CHARACTERS = 32_768
"""Read in one turn of the event loop: a millisecond at most for English."""

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


class WordScorer:
    """Scores by shared words on the event loop, a slice at a time. Safe to use from many tasks of one loop at once.

    A worker thread would not spare the loop: reading words holds the interpreter's lock, for which a loop waits 5 ms
    each time it wakes up. Between two slices, whichever calls they belong to, the loop serves everything else.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def score(self, query: str, documents: Sequence[str]) -> list[float]:
        """Score every document by BM25; one number a document, request order.

        Up to a slice of text is scored at once, without giving up the loop.
        """
        words = Bm25Query(query)
        if sum(map(len, documents)) <= _SLICE_CHARACTERS:
            return words.score([words.count(text) for text in documents])
        counts: list[WordCounts] = []
        unread = _SLICE_CHARACTERS
        for document in documents:
            parts = []
            for text in cut_text(document, _SLICE_CHARACTERS):
                if len(text) > unread:
                    await self._rest()
                    unread = _SLICE_CHARACTERS
                unread -= len(text)
                parts.append(words.count(text))
            counts.append(parts[0] if len(parts) == 1 else WordCounts.add(parts))
        return words.score(counts)

    async def _rest(self) -> None:
        """Wait until it is this call's turn, a turn of the event loop later at the earliest."""
        async with self._turn:
            await asyncio.sleep(0)


class Bm25:
    """The model `bm25`. Safe to use from many tasks of one event loop at once."""

    def __init__(self, words: WordScorer) -> None:
        self._words = words

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`; no tokens are read by a network, so none are counted."""
        scores = await self._words.score(call.query, call.documents)
        return ProviderReply(indices=range(len(scores)), scores=scores, model=BM25_INFO.name)
