"""Scoring with a network that reads query and document apart, so that document vectors can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rerankd.local.lazy import Lazy
from rerankd.local.loading import Loaded
from rerankd.local.scheduler import Ticket, WorkPool
from rerankd.local.similarity import cosine, maxsim, normalise, pool
from rerankd.local.specs import Kind, ModelSpec
from rerankd.local.token_cache import TokenCache
from rerankd.local.vectors import VectorCache, content_key
from rerankd.local.windows import Window, warn_of_cuts
from rerankd_adapters.base import ProviderCall, ProviderReply

if TYPE_CHECKING:
    from rerankd.local.tokenizer import Tokenizer

_KEPT_SLICE = 100
"""Kept documents that one worker compares in a go, 17 ms at most. Their products are so short that two workers at once
spend more on passing the interpreter's lock than they gain."""

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class _Query:
    vectors: FloatArray
    tokens: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _Scored:
    score: float
    tokens: int
    is_cut: bool


class DualEncoder:
    """A bi-encoder or ColBERT ready to score. Safe to use from many tasks at once."""

    def __init__(self, spec: ModelSpec, loaded: Loaded, pool: WorkPool, cache: VectorCache) -> None:
        self._spec = spec
        self._loaded = loaded
        self._session = loaded.session
        self._tokenizer: Tokenizer = loaded.tokenizer
        self._pool = pool
        self._token_cache = TokenCache(loaded.tokenizer, loaded.identity, cache)
        self._cache = cache
        self._use = spec.pooling if spec.kind is Kind.BI_ENCODER else "tokens"
        self._compare = cosine if spec.kind is Kind.BI_ENCODER else maxsim

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`; documents whose vectors are kept cost only the query.

        Raises:
            AdapterError: `REJECTED` when a document is too long and cutting is off.
        """
        window_tokens = self._spec.window_for(call)
        window = Window.plan(call, window_tokens - self._tokenizer.single_specials)
        query = Lazy(lambda: self._read_query(call))

        def score(index: int) -> _Scored:
            passages, tokens, is_cut = self._read_document(call.documents[index], index, window, window_tokens)
            return _Scored(self._best(query, passages), tokens, is_cut)

        def score_kept(indices: range, _unit: int) -> list[_Scored | None]:
            return [self._score_kept(call.documents[index], index, window, window_tokens, query) for index in indices]

        ticket, count = Ticket(priority=call.priority), len(call.documents)
        scored: list[_Scored | None] = []
        for start in range(0, count, _KEPT_SLICE):
            indices = range(start, min(start + _KEPT_SLICE, count))
            (kept,) = await self._pool.run(partial(score_kept, indices), 1, ticket)
            scored += kept or []
        missing = [index for index, one in enumerate(scored) if one is None]
        read_now = await self._pool.run(lambda place: score(missing[place]), len(missing), ticket)
        for index, one in zip(missing, read_now, strict=True):
            scored[index] = one
        done = [one for one in scored if one is not None]
        cuts = sum(one.is_cut for one in done)
        read = query.get()
        return ProviderReply(
            indices=range(len(done)),
            scores=[one.score for one in done],
            model=self._spec.name,
            prompt_tokens=read.tokens + sum(one.tokens for one in done),
            warnings=warn_of_cuts(cuts, window_tokens, is_query_cut=read.is_cut),
        )

    def _score_kept(
        self, document: str, index: int, window: Window, window_tokens: int, query: Lazy[_Query]
    ) -> _Scored | None:
        """Score a document all of which is kept; `None` for any other, whatever of it is kept."""
        tokens = window.find(self._token_cache, self._spec.document_prefix + document)
        if tokens is None:
            return None
        is_cut = window.check(tokens, index, window_tokens)
        passages = [
            self._cache.get(content_key(self._loaded.identity, self._use, span)) for span in window.split(tokens.ids)
        ]
        if any(passage is None for passage in passages):
            return None
        return _Scored(self._best(query, passages), 0, is_cut)

    def _best(self, query: Lazy[_Query], passages: Sequence[Any]) -> float:
        vectors = query.get().vectors
        return max(self._compare(vectors, passage) for passage in passages)

    def _read_query(self, call: ProviderCall) -> _Query:
        prefix = self._spec.query_prefix
        if call.instruction and self._spec.takes_instruction:
            prefix = call.instruction.rstrip() + " "
        tokens = self._tokenizer.tokenize(prefix + call.query, self._spec.window_tokens // 2)
        ids, types = self._tokenizer.frame_single(tokens.ids)
        states = self._session.run(ids, types)
        vectors = normalise(states) if self._spec.matches_query_specials else self._pack(states)
        return _Query(vectors, len(ids), tokens.is_cut)

    def _read_document(
        self, document: str, index: int, window: Window, window_tokens: int
    ) -> tuple[list[FloatArray], int, bool]:
        """Give a document's vectors by passage, the tokens that had to be read, and whether it was cut."""
        text = self._spec.document_prefix + document
        tokens, is_cut = window.tokenize(self._token_cache, text, index, window_tokens)
        passages: list[FloatArray] = []
        tokens_read = 0
        for span in window.split(tokens.ids):
            key = content_key(self._loaded.identity, self._use, span)
            vectors: FloatArray | None = self._cache.get(key)
            if vectors is None:
                ids, types = self._tokenizer.frame_single(span)
                vectors = self._pack(self._session.run(ids, types))
                self._cache.put(key, vectors)
                tokens_read += len(ids)
            passages.append(vectors)
        return passages, tokens_read, is_cut

    def _pack(self, states: FloatArray) -> FloatArray:
        if self._use == "tokens":
            return pack_tokens(states)
        return pool(states, self._spec.pooling)


def pack_tokens(states: FloatArray) -> npt.NDArray[np.float16]:
    """Keep the unit vectors of a text's tokens in half precision, the special ones at both ends left out.

    Special tokens match nothing in particular; without them NDCG@10 is 0.01 better on two sets of two. Half precision
    moves a score by less than 0.001 and is used for fresh vectors too, so keeping them changes no score.
    """
    inner = states[1:-1] if len(states) > 2 else states
    return normalise(inner).astype(np.float16)
