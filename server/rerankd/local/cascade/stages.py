"""The model `default`: three stages, each costlier and more accurate than the one before, within a time budget.

1. Words and static vectors order all documents.
2. MiniLM, as cosine and as late interaction, reads of the best of them the two tiles that fit the query best.
3. The cross-encoder reads the best ten of these.

Every stage estimates the probability that a document answers the query (`rerankd.local.cascade.calibration`), from the
query and that document alone; a document has the estimate of the last stage that read it. The other documents, and the
time that is left, decide only how far a document is read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import TypeVar

from rerankd.local.cascade.budget import Budget
from rerankd.local.cascade.calibration import (
    PRIOR_SHARE,
    late_probability,
    late_value,
    pair_probability,
    static_probability,
    words_probability,
)
from rerankd.local.cascade.call_documents import WINDOW_TOKENS, CallDocuments
from rerankd.local.cascade.late_vectors import Keys, LateMatch, LateVectors
from rerankd.local.cascade.mixing import blend
from rerankd.local.cascade.static_table import StaticMatch, StaticTable
from rerankd.local.cascade.tiles import BEST_TILES, TILE_TOKENS, cut_tiles
from rerankd.local.cross_encoder import CrossEncoder
from rerankd.local.lazy import Lazy
from rerankd.local.lexical import WordScorer
from rerankd.local.onnx.loading import Loaded
from rerankd.local.scheduler import Ticket, WorkPool
from rerankd.local.tokens.token_cache import TokenCache
from rerankd.local.tokens.vectors import VectorCache
from rerankd.local.tokens.windows import warn_of_cuts
from rerankd.local.warming import Piece, warm
from rerankd_adapters.base import ProviderCall, ProviderReply, Stage
from rerankd_adapters.warming import WarmReply

T = TypeVar("T")

LATE_DOCUMENTS = 1000
"""Most documents that MiniLM reads; bounds a call in quality mode to seconds."""
WORDS_LATE_DOCUMENTS = 50
"""The same within a budget, where words alone have ordered the documents."""
CROSS_DOCUMENTS = 10
"""Documents that the cross-encoder reads: 5 lose 0.011 NDCG@10 on questions, and win 0.010 on scientific claims."""
_LEAST_ORDERED = 2
"""Fewest documents that are worth an order."""
_SLICE = 8
"""Documents in one unit of work of the cheap stages: some 10 ms."""


@dataclass(slots=True)
class _Run:
    """State of one call across the stages."""

    call: ProviderCall
    budget: Budget
    ticket: Ticket
    documents: CallDocuments
    keys: dict[int, list[Keys]] = field(default_factory=dict)
    """Cache keys of the tiles that are read, by position."""
    prior: list[float] | None = None
    """What an earlier stage thought of every document; `None` where that does not count."""
    matches: list[float] = field(default_factory=list)
    """Share of the query's words that every document has."""
    order: list[int] = field(default_factory=list)
    """Positions in the order in which the next stage reads them."""
    compared: int = 0
    """Documents that static vectors compared, the first ones of `order`."""
    late: dict[int, float] = field(default_factory=dict)
    """Combined value of the second stage, by position."""
    scores: list[float] = field(default_factory=list)
    """Probability of every document, of the last stage that read it."""
    stages: list[Stage] = field(default_factory=list)
    tokens_read: int = 0

    @property
    def late_documents(self) -> int:
        """Most documents of the second stage; those that static vectors had no time for have none there either."""
        if not self.budget.is_limited:
            return LATE_DOCUMENTS
        return min(LATE_DOCUMENTS, self.compared) if self.documents.has_static_vectors else WORDS_LATE_DOCUMENTS

    def mix(self, parts: Sequence[tuple[float, Sequence[float]]], positions: Sequence[int]) -> dict[int, float]:
        """Blend the values that a stage gives some positions, and what an earlier stage thought of these."""
        mixed = blend(parts)
        if self.prior is not None:
            prior = self.prior
            mixed = blend([(1 - PRIOR_SHARE, mixed), (PRIOR_SHARE, [prior[position] for position in positions])])
        return dict(zip(positions, mixed, strict=True))

    def read_first(self, values: Mapping[int, float]) -> None:
        """Move positions to the front of the reading order, greatest value first; the others keep theirs."""
        first = sorted(values, key=lambda position: (-values[position], position))
        self.order = [*first, *(position for position in self.order if position not in values)]

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


class EmbeddedCascade:
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
        self._vectors = LateVectors(minilm, cache)
        self._tokenizer = minilm.tokenizer
        self._token_cache = TokenCache(minilm.tokenizer, minilm.identity, cache)
        self.table: StaticTable | None = None
        """`None` until it is prepared; the first stage is BM25 alone until then."""

    async def rerank(self, call: ProviderCall, budget: Budget, prior: list[float] | None = None) -> ProviderReply:
        """Score every document of `call` in as many stages as `budget` allows.

        Args:
            call: Query and documents.
            budget: When to end.
            prior: What an earlier stage thought of each document; it counts in the first stage, and so decides which
                documents the others read.

        Raises:
            AdapterError: `REJECTED` when a document is too long and cutting is off.
        """
        run = _Run(
            call=call,
            budget=budget,
            ticket=Ticket(priority=call.priority),
            documents=CallDocuments(call, self._tokenizer, self._token_cache, self.table),
            prior=prior,
        )
        await self._order_by_words(run)
        await self._look_closer(run)
        await self._read_together(run)
        return ProviderReply(
            indices=range(len(call.documents)),
            scores=run.scores,
            model="default",
            prompt_tokens=run.tokens_read,
            warnings=warn_of_cuts(
                len(run.documents.cuts), WINDOW_TOKENS, is_query_cut=run.documents.query.get().is_cut
            ),
            stages=run.stages,
        )

    async def warm(self, call: ProviderCall, *, in_tiles: bool) -> WarmReply:
        """Compute and keep MiniLM's vectors of all that a later call may read of the documents of `call`.

        Args:
            call: The documents.
            in_tiles: Whether later calls read tiles, which they do with static vectors, or whole documents.
        """
        documents = CallDocuments(call, self._tokenizer, self._token_cache, None)

        def read(position: int) -> list[Piece]:
            ids = documents.read(position)
            tiles = cut_tiles(ids) if in_tiles else [ids]
            keyed = [(tile, self._vectors.keys(tile)) for tile in tiles]
            return [Piece(keys, partial(self._vectors.of_text, tile, keys)) for tile, keys in keyed]

        return await warm(self._pool, self._cache, len(call.documents), read)

    async def _order_by_words(self, run: _Run) -> None:
        """First stage: BM25 of all documents, then static vectors of as many as time allows."""
        began_s = time.monotonic()
        documents = run.call.documents
        words, run.matches = await self._words.score_and_match(run.call.query, documents)
        run.scores = list(map(words_probability, run.matches, run.prior or repeat(None)))
        run.order = list(range(len(documents)))
        run.read_first(run.mix([(1.0, words)], run.order))
        compared = await self._compare_statically(run) if run.documents.has_static_vectors else {}
        run.compared = len(compared)
        is_short = run.documents.has_static_vectors and len(compared) < len(documents)
        for position, match in compared.items():
            prior = run.prior[position] if run.prior else None
            run.scores[position] = static_probability(run.matches[position], match.cosine, match.maxsim, prior)
        if len(compared) >= _LEAST_ORDERED:
            positions = list(compared)
            parts = [
                (0.2, [words[position] for position in positions]),
                (0.4, [compared[position].cosine for position in positions]),
                (0.4, [compared[position].maxsim for position in positions]),
            ]
            run.read_first(run.mix(parts, positions))
        model = "bm25+static-minilm" if compared else "bm25"
        run.record("lexical-static", model, range(len(documents)), began_s, is_short=is_short)

    async def _compare_statically(self, run: _Run) -> dict[int, StaticMatch]:
        """Return how the documents match, by position, best documents by BM25 first."""
        order = run.order
        end_s = run.budget.static_end_s()

        def compare(number: int) -> list[tuple[int, StaticMatch]]:
            return [
                (position, run.documents.match(position)) for position in order[number * _SLICE : (number + 1) * _SLICE]
            ]

        slices = -(-len(order) // _SLICE)
        parts = await self._pool.run(compare, slices, run.ticket, stop_s=end_s, abandon_s=run.budget.end_s)
        compared: dict[int, StaticMatch] = {}
        for part in parts:
            if part is None:
                break
            compared.update(part)
        return compared

    async def _look_closer(self, run: _Run) -> None:
        """Second stage: MiniLM on the best documents; those with cached vectors cost no run."""
        began_s = time.monotonic()
        order = run.order[: run.late_documents]
        if run.budget.is_limited:
            await self._read_all(run, order)
        most_tokens = BEST_TILES * TILE_TOKENS if run.documents.has_static_vectors else WINDOW_TOKENS
        meter = self._minilm.session.meter
        end_s = run.budget.late_interaction_end_s(self._cross_cost_s(run, order), self._workers())
        query = Lazy(lambda: self._vectors.of_query(run.documents.query.get().ids))

        def starts(unit: int) -> bool:
            if self._is_cached(run, order[unit]):
                return run.budget.fits(0.0, run.budget.end_s)
            tokens = run.documents.count_tokens(order[unit], most_tokens)
            return run.budget.fits(meter.estimate_s(tokens), end_s)

        def look(unit: int) -> LateMatch:
            position = order[unit]
            return self._vectors.compare(query.get(), run.documents.read_tiles(position), self._keys(run, position))

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
        if seen:
            run.tokens_read += query.get().tokens_read + sum(match.tokens_read for match in seen)
        for position, match in zip(positions, seen, strict=True):
            run.late[position] = late_value(run.matches[position], match.cosine, match.maxsim)
            run.scores[position] = late_probability(run.late[position])
        run.read_first(run.late)
        is_short = len(positions) < len(order)
        run.record("late-interaction", "all-minilm-l6-v2", positions, began_s, is_short=is_short)

    async def _read_together(self, run: _Run) -> None:
        """Third stage: the cross-encoder on the best documents, combined with the stage before."""
        began_s = time.monotonic()
        order = run.order[:CROSS_DOCUMENTS]
        meter = self._cross_meter

        def starts(unit: int) -> bool:
            tokens = run.documents.count_tokens(order[unit], WINDOW_TOKENS) + len(run.documents.query.get().ids)
            return run.budget.fits(meter.estimate_s(min(WINDOW_TOKENS, tokens)), run.budget.end_s)

        def score(unit: int) -> tuple[float, int]:
            position = order[unit]
            return self._cross.score_pair(run.documents.query.get().ids, run.documents.read_beside_query(position))

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
        for position, (logit, _) in zip(positions, scored, strict=True):
            run.scores[position] = pair_probability(logit, run.late.get(position))
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

    def _cross_cost_s(self, run: _Run, order: Sequence[int]) -> float:
        query_tokens = len(run.documents.query.get().ids)
        lengths = [run.documents.count_tokens(each, WINDOW_TOKENS) + query_tokens for each in order[:CROSS_DOCUMENTS]]
        return sum(self._cross_meter.estimate_s(min(WINDOW_TOKENS, length)) for length in lengths)

    def _workers(self) -> float:
        """Estimate the workers available to this call beside other calls."""
        return self._pool.threads / (1 + self._pool.load())

    def _keys(self, run: _Run, position: int) -> list[Keys]:
        """Return the cache keys of the tiles of a document that fit the query best."""
        keys = run.keys.get(position)
        if keys is None:
            keys = run.keys[position] = list(map(self._vectors.keys, run.documents.read_tiles(position)))
        return keys

    def _is_cached(self, run: _Run, position: int) -> bool:
        # Called with the pool's lock held, so nothing is tokenized here.
        keys = run.keys.get(position)
        return keys is not None and all(map(self._vectors.are_kept, keys))


def _leading(found: Sequence[T | None]) -> list[T]:
    """Return the results before the first missing one, so that a stage has scored a prefix of its ranking."""
    leading: list[T] = []
    for one in found:
        if one is None:
            break
        leading.append(one)
    return leading
