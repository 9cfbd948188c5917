"""Scores the documents of a request with one model group, using cache, passages, chunks or a tournament."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct, field, structs

from rerankd.cache.keys import ScoreScope
from rerankd.cache.pair_scores import PairScores
from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.cutting import Cut, cut_call, is_too_long, window_of, with_lower_window
from rerankd.engine.scoring.dispatch import call_semaphore, dispatch
from rerankd.engine.scoring.merge import merge_replies
from rerankd.engine.scoring.model_result import ChunkCall
from rerankd.engine.scoring.passages import PassageRules, Passages, best_passage_scores, cut_passages
from rerankd.engine.scoring.planner import listwise_window, plan_chunks
from rerankd.engine.scoring.provider_call import document_contents
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tokens import TokenCounter, counter_for
from rerankd.engine.scoring.tournament import Rules, plan_windows, rank_listwise
from rerankd_adapters.base import ModelInfo, ProviderCall, ProviderReply, Scoring, Truncation

T = TypeVar("T")

_MAX_REFUSALS: Final = 3
"""Calls refused as too long before the last one: one that tells an unknown window, others that correct an estimate."""
_MAX_CHARS_ON_LOOP: Final = 200_000
"""Characters whose tokens are estimated on the event loop, in less than a millisecond."""


class Scores(Struct):
    """The scores of a request's documents."""

    indices: Sequence[int]
    """Index in the request of each scored document; fewer than all only if the call has `top_n`."""
    values: Sequence[float]
    """Relevance score of each of `indices`."""
    cached: int = 0
    """Documents scored without a provider call of this request: from the cache, or by a call of another request."""


class RequestScoring(Struct):
    """Scores the documents of one request with one model group.

    Args:
        group: Its deployments are called.
        context: Of the rerank call.
        info: The model.
        call: The query and all n documents, n >= 1.
        indices: n indices: that in the request of each document of `call`, ascending.
        cache: Pair-score cache; `None` if the model or the call does not use it.
    """

    group: ModelGroup
    context: ScoringContext
    info: ModelInfo
    call: ProviderCall
    indices: Sequence[int]
    cache: PairScores | None = None
    calls: list[ChunkCall] = field(default_factory=list)
    """Every provider call made."""
    warnings: list[str] = field(default_factory=list)
    """For the caller, one sentence each."""
    _counter: TokenCounter = None  # type: ignore[assignment]  # set at once

    def __post_init__(self) -> None:
        self._counter = counter_for(self.info.capabilities)

    def run(self) -> Coroutine[Any, Any, Scores]:
        """Score the documents, cut to the window for a server that refuses longer ones.

        Raises:
            ServiceError: The first failure.
        """
        if self.info.capabilities.truncates is not False or not self.group.options.cut_long_documents:
            return self._run()
        return self._run_cut()

    async def _run_cut(self) -> Scores:
        whole = self.call
        for _ in range(_MAX_REFUSALS):
            cut = await self._cut(whole)
            self.call = cut.call
            try:
                scores = await self._run()
            except ServiceError as error:
                if not is_too_long(error) or whole.truncation is Truncation.NONE:
                    raise
                self.info = with_lower_window(self.info, error)
                continue
            self.warnings[:0] = cut.warnings
            return scores
        self.call = (await self._cut(whole)).call
        return await self._run()

    async def _run(self) -> Scores:
        count = len(self.call.documents)
        if self.cache is not None:
            contents = await document_contents(self.call)
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
        if len(self.indices) == self.indices[-1] + 1:  # ascending, so positions equal indices
            return positions
        return list(map(self.indices.__getitem__, positions))

    def _scope(self) -> ScoreScope:
        """Return everything the scores depend on except the documents."""
        call = self.call
        parameters: dict[str, Any] = {
            "truncation": call.truncation,
            "max_tokens_per_doc": call.max_tokens_per_doc,
            "max_passages_per_doc": call.max_passages_per_doc,
            "instruction": call.instruction,
            "query_image": call.query_image,
            "options": call.options,
        }
        return ScoreScope(self.group.served_by, self.info.name, call.query, self.info.revision, parameters)

    async def _fetch(self, positions: Sequence[int]) -> Sequence[float]:
        """Score the documents at `positions`, without `top_n`."""
        is_all = len(positions) == len(self.call.documents)
        call = self.call if is_all else self.call.take(positions)
        if call.top_n is not None:
            call = structs.replace(call, top_n=None)
        reply = await self._score(call, self._in_request(positions))
        return scores_in_order(reply)

    async def _score(self, call: ProviderCall, indices: Sequence[int]) -> ProviderReply:
        """Score the documents of `call`.

        Args:
            call: All or some of the documents.
            indices: Index in the request of each.
        """
        passages = await self._passages(call) if call.max_passages_per_doc > 1 else None
        if passages is None:
            return await self._dispatch(call, indices)
        if len(passages.texts) == len(call.documents):
            return await self._dispatch(structs.replace(call, max_passages_per_doc=1), indices)
        # Passages are text: objects are not cut.
        pieces = structs.replace(call, documents=passages.texts, objects=None, top_n=None, max_passages_per_doc=1)
        reply = await self._dispatch(pieces, [indices[owner] for owner in passages.owners])
        scores = best_passage_scores(passages, scores_in_order(reply))
        return structs.replace(reply, indices=range(len(scores)), scores=scores)

    async def _cut(self, call: ProviderCall) -> Cut:
        """Cut what the server would refuse; passages are cut later, from whole documents."""
        if call.max_passages_per_doc > 1 and self._takes_passages(call):
            return Cut(call if call.truncation is Truncation.START else structs.replace(call, truncation=None))
        name, counter, indices = self.group.name, self._counter, self.indices
        window = window_of(self.info.capabilities, call)
        if counter.is_exact or sum(map(len, call.documents)) > _MAX_CHARS_ON_LOOP:
            return await asyncio.to_thread(cut_call, call, indices, name, window, counter)
        return cut_call(call, indices, name, window, counter)

    def _takes_passages(self, call: ProviderCall) -> bool:
        """Whether long documents of a call are cut into passages here."""
        capabilities = self.info.capabilities
        if capabilities.cuts_passages or call.truncation is Truncation.NONE:
            return False
        return capabilities.scoring is Scoring.POINTWISE and call.images is None and call.prior_scores is None

    async def _passages(self, call: ProviderCall) -> Passages | None:
        """Cut long documents into passages; `None` if the provider does it, or model or call rule it out."""
        capabilities = self.info.capabilities
        if not self._takes_passages(call):
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
        return merge_replies([(chunk, result.reply) for chunk, result in zip(chunks, results, strict=True)])

    async def _tournament(self, window: int) -> Scores:
        count = len(self.call.documents)
        rules = Rules(window, top_n=self.call.top_n)
        slots, total = call_semaphore(self.group, count), plan_windows(count, rules).calls

        async def rank(positions: Sequence[int]) -> Sequence[int]:
            call = structs.replace(self.call.take(positions), top_n=None)
            indices = self._in_request(positions)
            async with slots:
                (result,) = await dispatch(self.group, self.context, call, [range(len(positions))], indices, total)
            self.calls.append(ChunkCall(indices, result))
            return order_by_score(positions, scores_in_order(result.reply))

        ranking = await rank_listwise(count, rules, rank)
        self.warnings.append(
            f"{self.group.name} compares at most {window} of these documents in one call: they were ranked by"
            f" a tournament of {total} calls, and relevance_score is derived from the rank"
        )
        top_n = self.call.top_n
        return Scores(self._in_request(ranking.order[:top_n]), ranking.scores()[:top_n])

    async def _plan(self, plan: Callable[..., T], documents: Sequence[str]) -> T:
        capabilities, query, counter = self.info.capabilities, self.call.query, self._counter
        if counter.is_exact:
            return await asyncio.to_thread(plan, capabilities, self._setting_name, query, documents, counter)
        return plan(capabilities, self._setting_name, query, documents, counter)

    @property
    def _setting_name(self) -> str:
        """`provider/model` under which the settings hold the model's capabilities."""
        first = self.group.deployments[0]
        return f"{first.provider.name}/{first.model}"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work`, in a thread if it uses a tokenizer."""
        return await asyncio.to_thread(work) if self._counter.is_exact else work()


def scores_in_order(reply: ProviderReply) -> list[float]:
    """Return the scores in document order; the reply must score every document."""
    if reply.indices == range(len(reply.scores)):
        return list(reply.scores)
    score_of = dict(zip(reply.indices, reply.scores, strict=True))
    return list(map(score_of.__getitem__, range(len(score_of))))


def order_by_score(documents: Sequence[int], scores: Sequence[float]) -> list[int]:
    """Return n documents, best first by n scores; equal scores keep their order."""
    order = sorted(range(len(documents)), key=scores.__getitem__, reverse=True)
    return list(map(documents.__getitem__, order))
