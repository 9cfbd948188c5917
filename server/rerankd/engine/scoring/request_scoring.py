"""Scores of every document of a request by one model, whatever it takes: cache, passages, chunks, a tournament."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec import structs

from rerankd.cache.keys import Scope
from rerankd.cache.pair_scores import PairScores
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.dispatch import concurrent_calls, dispatch
from rerankd.engine.scoring.merge import join
from rerankd.engine.scoring.model_result import ChunkCall
from rerankd.engine.scoring.passages import PassageRules, Passages, best_passage_scores, cut_passages
from rerankd.engine.scoring.planner import listwise_window, plan_chunks
from rerankd.engine.scoring.provider_call import document_contents
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tokens import TokenCounter, counter_for
from rerankd.engine.scoring.tournament import plan_windows, rank_listwise
from rerankd_adapters.base import ModelInfo, ProviderCall, ProviderReply, Scoring, Truncation

T = TypeVar("T")


@dataclass(slots=True)
class Scores:
    """The scores of a request's documents."""

    indices: Sequence[int]
    """Index in the request of each scored document; fewer than all only where the call has `top_n`."""
    values: Sequence[float]
    """Relevance score of each."""
    cached: int = 0
    """Documents that no provider call scored, because their score was known or on its way."""


@dataclass(slots=True)
class RequestScoring:
    """Scores the documents of one request by one model group.

    Args:
        group: Who is called.
        context: Of the rerank call.
        info: The model.
        call: The query and all documents, n >= 1.
        indices: Index in the request of each document of `call`.
        cache: Known scores, for models and calls that may use them.
    """

    group: ModelGroup
    context: ScoringContext
    info: ModelInfo
    call: ProviderCall
    indices: Sequence[int]
    cache: PairScores | None = None
    calls: list[ChunkCall] = field(default_factory=list)
    """Every provider call that was made."""
    warnings: list[str] = field(default_factory=list)
    """What the caller should know."""
    _counter: TokenCounter = field(init=False)

    def __post_init__(self) -> None:
        self._counter = counter_for(self.info.capabilities)

    async def run(self) -> Scores:
        """Score the documents.

        Raises:
            ServiceError: What the caller should know of the first failure.
        """
        count = len(self.call.documents)
        if self.cache is not None:
            contents = document_contents(self.call)
            filled = await self.cache.fill(self._scope(), contents, self.context.cache_use, self._fetch)
            return Scores(self.indices, filled.scores, cached=count - filled.fetched)
        if self.info.capabilities.scoring is Scoring.LISTWISE:
            window = await self._plan(listwise_window, self.call.documents)
            if window < count:
                return await self._tournament(window)
        reply = await self._score(self.call, self.indices)
        return Scores(self._in_request(reply.indices), reply.scores)

    def _in_request(self, positions: Sequence[int]) -> Sequence[int]:
        """Return the index in the request of each position in the call."""
        if len(self.indices) == self.indices[-1] + 1:  # ascending, so they are the same
            return positions
        return list(map(self.indices.__getitem__, positions))

    def _scope(self) -> Scope:
        """Say what the scores depend on beside the documents."""
        call = self.call
        parameters: dict[str, Any] = {
            "truncation": call.truncation,
            "max_tokens_per_doc": call.max_tokens_per_doc,
            "max_passages_per_doc": call.max_passages_per_doc,
            "instruction": call.instruction,
            "options": call.options,
        }
        return Scope(self.group.served_by, self.info.name, call.query, self.info.revision, parameters)

    async def _fetch(self, positions: Sequence[int]) -> Sequence[float]:
        """Score some of the documents, all of them asked for."""
        is_all = len(positions) == len(self.call.documents)
        call = self.call if is_all else self.call.take(positions)
        if call.top_n is not None:
            call = structs.replace(call, top_n=None)
        reply = await self._score(call, self._in_request(positions))
        return in_order(reply)

    async def _score(self, call: ProviderCall, indices: Sequence[int]) -> ProviderReply:
        """Score the documents of `call`, whose indices in the request are given."""
        passages = await self._passages(call) if call.max_passages_per_doc > 1 else None
        if passages is None:
            return await self._dispatch(call, indices)
        if len(passages.texts) == len(call.documents):
            return await self._dispatch(structs.replace(call, max_passages_per_doc=1), indices)
        # Passages are text: objects are not cut.
        pieces = structs.replace(call, documents=passages.texts, objects=None, top_n=None, max_passages_per_doc=1)
        reply = await self._dispatch(pieces, [indices[owner] for owner in passages.owners])
        scores = best_passage_scores(passages, in_order(reply))
        return structs.replace(reply, indices=range(len(scores)), scores=scores)

    async def _passages(self, call: ProviderCall) -> Passages | None:
        """Cut long documents where the caller asks for it and we are to do it; else `None`."""
        capabilities = self.info.capabilities
        if capabilities.cuts_passages or call.truncation is Truncation.NONE:
            return None
        if capabilities.scoring is not Scoring.POINTWISE or call.images is not None or call.prior_scores is not None:
            return None
        rules = PassageRules(
            max_passages=call.max_passages_per_doc,
            max_tokens_per_doc=call.max_tokens_per_doc,
            keeps_end=call.truncation is Truncation.START,
        )
        name, counter = self._setting_name, self._counter
        passages = await self._in_thread(
            lambda: cut_passages(name, call.query, call.documents, capabilities, rules, counter)
        )
        self.warnings += [warning for warning in passages.warnings if warning not in self.warnings]
        return passages

    async def _dispatch(self, call: ProviderCall, indices: Sequence[int]) -> ProviderReply:
        chunks = await self._plan(plan_chunks, call.documents)
        results = await dispatch(self.group, self.context, call, chunks, indices)
        if len(chunks) == 1:
            self.calls.append(ChunkCall(indices, results[0]))
            return results[0].reply
        for chunk, result in zip(chunks, results, strict=True):
            self.calls.append(ChunkCall(indices[chunk.start : chunk.stop], result))
        return join([(chunk, result.reply) for chunk, result in zip(chunks, results, strict=True)])

    async def _tournament(self, window: int) -> Scores:
        count = len(self.call.documents)
        slots, total = concurrent_calls(self.group, count), plan_windows(count, window).calls

        async def score(positions: Sequence[int]) -> Sequence[float]:
            call = structs.replace(self.call.take(positions), top_n=None)
            indices = self._in_request(positions)
            async with slots:
                (result,) = await dispatch(self.group, self.context, call, [range(len(positions))], indices, total)
            self.calls.append(ChunkCall(indices, result))
            return in_order(result.reply)

        ranking = await rank_listwise(count, window, score, self.call.top_n)
        self.warnings.append(
            f"{self.group.name} compares at most {window} of these documents in one call: they were ranked by"
            f" a tournament of {total} calls, and relevance_score is derived from the rank"
        )
        return Scores(self._in_request(ranking.order), ranking.scores)

    async def _plan(self, plan: Callable[..., T], documents: Sequence[str]) -> T:
        capabilities, query, counter = self.info.capabilities, self.call.query, self._counter
        if counter.is_exact:
            return await asyncio.to_thread(plan, capabilities, self._setting_name, query, documents, counter)
        return plan(capabilities, self._setting_name, query, documents, counter)

    @property
    def _setting_name(self) -> str:
        """Name of the model under which the settings state its capabilities."""
        first = self.group.deployments[0]
        return f"{first.provider.name}/{first.model}"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work`, off the event loop where a tokenizer takes part in it."""
        return await asyncio.to_thread(work) if self._counter.is_exact else work()


def in_order(reply: ProviderReply) -> list[float]:
    """Return the scores in the order of the call's documents, every one of which has one."""
    if reply.indices == range(len(reply.scores)):
        return list(reply.scores)
    score_of = dict(zip(reply.indices, reply.scores, strict=True))
    return list(map(score_of.__getitem__, range(len(score_of))))
