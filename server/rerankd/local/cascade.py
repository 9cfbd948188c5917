"""The model `default`: three stages, each costlier and more accurate than the one before, within a time budget.

1. Words and static vectors order all documents.
2. MiniLM, as cosine and as late interaction, looks at the first 50 and mixes both with the words.
3. The cross-encoder looks at the first ten of these.

Figures behind each number: NDCG@10 over eight sets is 0.529 for BM25, 0.617 for the first two stages on everything,
0.624 with the third, and 0.581 for the cross-encoder alone on everything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import structs

from rerankd.local.budget import Budget
from rerankd.local.cross_encoder import CrossEncoder
from rerankd.local.dual_encoder import pack_tokens
from rerankd.local.lazy import Lazy
from rerankd.local.lexical import WordScorer
from rerankd.local.loading import Loaded
from rerankd.local.mixing import blend, layer
from rerankd.local.scheduler import Ticket, WorkPool
from rerankd.local.similarity import cosine, maxsim, pool
from rerankd.local.static_table import StaticQuery, StaticTable
from rerankd.local.token_cache import TokenCache
from rerankd.local.tokenizer import Tokens
from rerankd.local.vectors import VectorCache, content_key
from rerankd.local.windows import Window, warn_of_cuts
from rerankd_adapters.base import ProviderCall, ProviderReply, Stage, Truncation

FloatArray = npt.NDArray[np.floating]
T = TypeVar("T")

WINDOW_TOKENS = 256
"""128 tokens lose 0.03 NDCG@10 on long documents, 512 gain nothing."""
LATE_DOCUMENTS = 50
CROSS_DOCUMENTS = 10
_LEAST_CROSS_DOCUMENTS = 2
"""Fewest documents for the cross-encoder: its scores are only used to order documents among themselves."""
_SLICE = 8
"""Documents in one unit of work of the cheap stages: some 10 ms."""


@dataclass(slots=True)
class _Run:
    """State of one call across the stages."""

    call: ProviderCall
    budget: Budget
    ticket: Ticket
    window: Window
    query: Lazy[Tokens]
    tokenized: dict[int, Tokens] = field(default_factory=dict)
    """Tokens by position, of the documents tokenized so far."""
    keys: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """Cache keys of the mean and the token vectors, by position."""
    words: list[float] = field(default_factory=list)
    """BM25 score of every document."""
    levels: list[dict[int, float]] = field(default_factory=list)
    """Scores by position, one entry a stage."""
    stages: list[Stage] = field(default_factory=list)
    tokens_read: int = 0
    cuts: set[int] = field(default_factory=set)

    def order(self) -> list[int]:
        """Order all positions by the scores so far, best first, ties by position."""
        scores = self.scores()
        return sorted(range(len(scores)), key=lambda position: (-scores[position], position))

    def scores(self) -> list[float]:
        """Map the scores of all stages so far into one score space; one score a document."""
        return layer(len(self.call.documents), self.levels)

    def record(self, name: str, model: str, positions: Sequence[int], began_s: float, *, is_short: bool) -> None:
        """Record what a stage did."""
        self.stages.append(
            Stage(
                name=name,
                model=model,
                documents=len(positions),
                latency_ms=round((time.monotonic() - began_s) * 1000, 3),
                shortened_by="budget" if is_short else "",
                positions=tuple(positions) if self.call.include_details else (),
            )
        )


@dataclass(frozen=True, slots=True)
class _Vectors:
    mean: FloatArray
    tokens: FloatArray
    tokens_read: int


class Cascade:
    """The three stages. Task-safe.

    Args:
        words: Scorer of the first stage.
        minilm: Bi-encoder of the second stage.
        cross_encoder: Scorer of the third stage.
        cross_loaded: Its network, for what a token costs.
        pool: Workers.
        cache: Keeps document vectors.
    """

    def __init__(
        self,
        words: WordScorer,
        minilm: Loaded,
        cross_encoder: CrossEncoder,
        cross_loaded: Loaded,
        pool: WorkPool,
        cache: VectorCache,
    ) -> None:
        self._words = words
        self._minilm = minilm
        self._cross = cross_encoder
        self._cross_meter = cross_loaded.session.meter
        self._pool = pool
        self._cache = cache
        self._tokenizer = minilm.tokenizer
        self._token_cache = TokenCache(minilm.tokenizer, minilm.identity, cache)
        self.table: StaticTable | None = None
        """`None` until it is prepared; the first stage is BM25 alone until then."""

    async def rerank(self, call: ProviderCall, budget: Budget) -> ProviderReply:
        """Score every document of `call` in as many stages as `budget` allows.

        Raises:
            AdapterError: `REJECTED` when a document is too long and cutting is off.
        """
        room_tokens = WINDOW_TOKENS - self._tokenizer.single_specials
        run = _Run(
            call=call,
            budget=budget,
            ticket=Ticket(priority=call.priority),
            window=Window.plan(structs.replace(call, max_passages_per_doc=1), room_tokens),
            query=Lazy(lambda: self._tokenizer.tokenize(call.query, WINDOW_TOKENS // 2)),
        )
        await self._order_by_words(run)
        await self._look_closer(run)
        await self._read_together(run)
        return ProviderReply(
            indices=range(len(call.documents)),
            scores=run.scores(),
            model="default",
            prompt_tokens=run.tokens_read,
            warnings=warn_of_cuts(len(run.cuts), WINDOW_TOKENS, is_query_cut=run.query.get().is_cut),
            stages=run.stages,
        )

    async def _order_by_words(self, run: _Run) -> None:
        """First stage: BM25 of all documents, then static vectors of as many as time allows."""
        began_s = time.monotonic()
        documents = run.call.documents
        run.words = await self._words.score(run.call.query, documents)
        run.levels.append(dict(enumerate(run.words)))
        table = self.table
        needs_static = table is not None and (
            len(documents) > LATE_DOCUMENTS or (run.budget.is_limited and len(documents) > _LEAST_CROSS_DOCUMENTS)
        )
        compared = await self._compare_statically(run, table) if needs_static and table is not None else {}
        is_short = needs_static and len(compared) < len(documents)
        if len(compared) >= _LEAST_CROSS_DOCUMENTS:
            positions = list(compared)
            mixed = blend(
                [
                    (0.2, [run.words[position] for position in positions]),
                    (0.4, [compared[position][0] for position in positions]),
                    (0.4, [compared[position][1] for position in positions]),
                ]
            )
            run.levels.append(dict(zip(positions, mixed, strict=True)))
        model = "bm25+static-minilm" if compared else "bm25"
        run.record("lexical-static", model, range(len(documents)), began_s, is_short=is_short)

    async def _compare_statically(self, run: _Run, table: StaticTable) -> dict[int, tuple[float, float]]:
        """Return cosine and MaxSim by position, best documents by BM25 first."""
        query: Lazy[StaticQuery] = Lazy(lambda: table.read_query(run.query.get().ids))
        order = run.order()
        end_s = run.budget.static_end_s()

        def compare(number: int) -> list[tuple[int, tuple[float, float]]]:
            known = query.get()
            return [
                (position, table.compare(known, self._read(run, position).ids))
                for position in order[number * _SLICE : (number + 1) * _SLICE]
            ]

        slices = -(-len(order) // _SLICE)
        parts = await self._pool.run(compare, slices, run.ticket, stop_s=end_s, abandon_s=run.budget.end_s)
        compared: dict[int, tuple[float, float]] = {}
        for part in parts:
            if part is None:
                break
            compared.update(part)
        return compared

    async def _look_closer(self, run: _Run) -> None:
        """Second stage: MiniLM on the best documents; those with cached vectors cost no run."""
        began_s = time.monotonic()
        order = run.order()[:LATE_DOCUMENTS]
        if run.budget.is_limited:
            await self._read_all(run, order)
        meter = self._minilm.session.meter
        end_s = run.budget.late_interaction_end_s(self._cross_cost_s(run, order), self._workers())
        query = Lazy(lambda: self._embed_query(run))

        def starts(place: int) -> bool:
            if self._is_cached(run, order[place]):
                return run.budget.fits(0.0, run.budget.end_s)
            return run.budget.fits(meter.estimate_s(self._length(run, order[place])), end_s)

        def look(place: int) -> tuple[float, float, int]:
            position = order[place]
            vectors = self._embed_document(run, position)
            known = query.get()
            return cosine(known.mean, vectors.mean), maxsim(known.tokens, vectors.tokens), vectors.tokens_read

        found = await self._pool.run(
            look,
            len(order),
            run.ticket,
            starts=starts if run.budget.is_limited else None,
            stop_s=run.budget.end_s,
            abandon_s=run.budget.end_s,
        )
        seen = _leading(found)
        positions = order[: len(seen)]
        if len(seen) >= _LEAST_CROSS_DOCUMENTS or len(run.call.documents) == len(seen):
            run.tokens_read += query.get().tokens_read + sum(one[2] for one in seen)
            mixed = blend(
                [
                    (0.2, [run.words[position] for position in positions]),
                    (0.4, [one[0] for one in seen]),
                    (0.4, [one[1] for one in seen]),
                ]
            )
            run.levels.append(dict(zip(positions, mixed, strict=True)))
        else:
            positions = []
        is_short = len(positions) < len(order)
        run.record("late-interaction", "all-minilm-l6-v2", positions, began_s, is_short=is_short)

    async def _read_together(self, run: _Run) -> None:
        """Third stage: the cross-encoder on the best ten, combined with the scores of the stage before."""
        began_s = time.monotonic()
        order = run.order()[:CROSS_DOCUMENTS]
        before = run.levels[-1]
        if not all(position in before for position in order):
            # Scores of different stages are not comparable, their order is.
            before = {position: -place for place, position in enumerate(order)}
        meter = self._cross_meter

        def starts(place: int) -> bool:
            tokens = self._length(run, order[place]) + len(run.query.get().ids)
            return run.budget.fits(meter.estimate_s(min(WINDOW_TOKENS, tokens)), run.budget.end_s)

        def score(place: int) -> tuple[float, int]:
            query = run.query.get().ids
            room = WINDOW_TOKENS - self._tokenizer.pair_specials - len(query)
            ids = self._read(run, order[place]).ids
            kept = ids[-room:] if run.window.cut is Truncation.START else ids[:room]
            return self._cross.score_pair(query, kept)

        found = await self._pool.run(
            score,
            len(order),
            run.ticket,
            starts=starts if run.budget.is_limited else None,
            stop_s=run.budget.end_s,
            abandon_s=run.budget.end_s,
        )
        scored = _leading(found)
        run.tokens_read += sum(one[1] for one in scored)
        positions = order[: len(scored)]
        if len(scored) >= _LEAST_CROSS_DOCUMENTS:
            mixed = blend([(0.7, [one[0] for one in scored]), (0.3, [before[position] for position in positions])])
            run.levels.append(dict(zip(positions, mixed, strict=True)))
        elif len(order) > len(scored):
            positions = []
        is_short = len(positions) < len(order)
        run.record("cross-encoder", "ms-marco-minilm-l12-v2", positions, began_s, is_short=is_short)

    async def _read_all(self, run: _Run, order: Sequence[int]) -> None:
        """Tokenize the remaining documents, so that costs and cached vectors are known before the costly runs."""
        unread = [position for position in order if position not in run.keys]
        slices = -(-len(unread) // _SLICE)

        def read(number: int) -> None:
            for position in unread[number * _SLICE : (number + 1) * _SLICE]:
                self._keys(run, position)

        end_s = run.budget.end_s
        await self._pool.run(read, slices, run.ticket, stop_s=end_s, abandon_s=end_s)

    def _read(self, run: _Run, position: int) -> Tokens:
        """Tokenize a document once a call; runs in a worker."""
        tokens = run.tokenized.get(position)
        if tokens is None:
            text = run.call.documents[position]
            tokens, is_cut = run.window.tokenize(self._token_cache, text, position, WINDOW_TOKENS)
            run.tokenized[position] = tokens
            if is_cut:
                run.cuts.add(position)
        return tokens

    def _length(self, run: _Run, position: int) -> int:
        """Return a document's token count, estimated where it is not tokenized yet."""
        tokens = run.tokenized.get(position)
        if tokens is not None:
            return len(tokens.ids) + self._tokenizer.single_specials
        return min(WINDOW_TOKENS, len(run.call.documents[position]) // 4 + self._tokenizer.single_specials)

    def _cross_cost_s(self, run: _Run, order: Sequence[int]) -> float:
        query_tokens = len(run.query.get().ids)
        lengths = [self._length(run, position) + query_tokens for position in order[:CROSS_DOCUMENTS]]
        return sum(self._cross_meter.estimate_s(min(WINDOW_TOKENS, length)) for length in lengths)

    def _workers(self) -> float:
        """Estimate the workers available to this call beside other calls."""
        return self._pool.threads / (1 + self._pool.load())

    def _keys(self, run: _Run, position: int) -> tuple[bytes, bytes]:
        """Return the cache keys that all-minilm-l6-v2 and its MaxSim variant use too, so that all share vectors."""
        keys = run.keys.get(position)
        if keys is None:
            ids = self._read(run, position).ids
            identity = self._minilm.identity
            keys = (content_key(identity, "mean", ids), content_key(identity, "tokens", ids))
            run.keys[position] = keys
        return keys

    def _is_cached(self, run: _Run, position: int) -> bool:
        # Called with the pool's lock held, so nothing is tokenized here.
        keys = run.keys.get(position)
        return keys is not None and all(key in self._cache for key in keys)

    def _embed_query(self, run: _Run) -> _Vectors:
        ids, types = self._tokenizer.frame_single(run.query.get().ids)
        states = self._minilm.session.run(ids, types)
        return _Vectors(pool(states, "mean"), pack_tokens(states), len(ids))

    def _embed_document(self, run: _Run, position: int) -> _Vectors:
        mean_key, tokens_key = self._keys(run, position)
        mean, tokens = self._cache.get(mean_key), self._cache.get(tokens_key)
        if mean is not None and tokens is not None:
            return _Vectors(mean, tokens, 0)
        ids, types = self._tokenizer.frame_single(self._read(run, position).ids)
        states = self._minilm.session.run(ids, types)
        mean, tokens = pool(states, "mean"), pack_tokens(states)
        self._cache.put(mean_key, mean)
        self._cache.put(tokens_key, tokens)
        return _Vectors(mean, tokens, len(ids))


def _leading(found: Sequence[T | None]) -> list[T]:
    """Return the results before the first missing one, so that a stage has scored a prefix of its ranking."""
    leading: list[T] = []
    for one in found:
        if one is None:
            break
        leading.append(one)
    return leading
