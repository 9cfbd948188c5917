"""Strategy llm-listwise: a chat model orders the best documents, a window of them in one call.

Its scores are ranks: (n - rank) / n with ranks from 0, over all documents of the request. An answer that cannot be read
is asked for once more, with other identifiers; then the call fails. The order so far is never passed off as an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rerankd.contract.messages import Contribution
from rerankd.contract.wording import counted
from rerankd.engine.models import Models
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tournament import TournamentRanking
from rerankd.engine.scoring.usage import sum_usage, usage_of
from rerankd.strategies.chat.model import GroupChatModel, chat_model, chat_problem
from rerankd.strategies.chat.stage import score_as_stage
from rerankd.strategies.listwise.prompts import (
    PROMPT_TOKENS,
    TOKENS_AROUND_DOCUMENT,
    ListwisePrompts,
    prepare_prompts,
)
from rerankd.strategies.listwise.settings import LlmListwiseConfig
from rerankd.strategies.listwise.windows import Windows
from rerankd.strategies.member import Member
from rerankd.strategies.parts import Parts
from rerankd_adapters.base import ScoreSpace, Scoring

_MUCH_DISAGREEMENT: Final = 0.35
"""Share of pairs that two readings order differently, from which on a caller is warned; orders without any relation
have 0.5."""


@dataclass(frozen=True, slots=True)
class LlmListwise:
    """Scores by the ranks that a chat model gives. Satisfies `Strategy`.

    Args:
        config: Of the reranker.
        models: Resolves the chat model for each request.
        key: Settings key of the model's name.
        first_stage: Orders all documents first; `None`: their order in the request, or that of their prior scores.
    """

    config: LlmListwiseConfig
    models: Models
    key: str
    first_stage: Member | None = None
    score_space: ScoreSpace = field(default=ScoreSpace.RELATIVE, init=False)
    """See `Strategy`: a rank."""
    scoring: Scoring = field(default=Scoring.LISTWISE, init=False)
    """See `Strategy`."""

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        model = chat_model(self.models, self.config.model, self.key)
        first = None
        if self.first_stage is not None:
            first = await self.first_stage.ask(request, context)
            first.scored()
        before = _order_before(request, None if first is None else first.scored())
        best = before[: self.config.depth]
        result = await score_as_stage(
            self.config.model,
            model,
            request,
            context,
            lambda inner: self._order(model, request, inner, before),
            indices=[request.indices[position] for position in sorted(best)],
        )
        if first is not None:
            scored = first.scored()
            result.stages = [*first.stages, *result.stages]
            result.usage = sum_usage([scored.usage, result.usage])
            result.calls = [*scored.calls, *result.calls]
            result.warnings = [*scored.warnings, *result.warnings]
        return result

    async def _order(
        self, model: GroupChatModel, request: RenderedRequest, context: ScoringContext, before: Sequence[int]
    ) -> ModelResult:
        """Order the best documents; the others follow.

        Args:
            model: The chat model.
            request: Of the reranker.
            context: Of the stage.
            before: All positions in the request's texts, best first.
        """
        config = self.config
        best, behind = before[: config.depth], before[config.depth :]
        texts = list(map(request.texts.__getitem__, best))
        prompts = await prepare_prompts(config, request.query, texts, request.request.instruction or "")
        plan = config.plan_for(context.top_n)
        indices = [request.indices[position] for position in best]
        windows = Windows(
            config, model, prompts, context, indices, request.request.priority or 0, plan.calls(len(best))
        )
        ranking = await plan.rank(len(best), windows.order, prompts.draw())
        order = [indices[position] for position in ranking.order]
        order += [request.indices[position] for position in behind]
        calls = windows.calls
        count = len(order)
        return ModelResult(
            model=model.name,
            provider=calls[0].result.deployment.provider.name if calls else COMPOSED_PROVIDER,
            indices=order,
            scores=[(count - number) / count for number in range(count)],
            score_space=self.score_space,
            usage=usage_of(request, calls, 0, model.group.info().price),
            calls=calls,
            warnings=[*_cut_warnings(prompts), *windows.warnings(), *_disagreement_warnings(model.name, ranking)],
            explain=self._explainer([request.indices[position] for position in before], indices, ranking),
        )

    def _explainer(self, before: Sequence[int], indices: Sequence[int], ranking: TournamentRanking) -> _Explainer:
        orders = {"order before" if self.first_stage is None else self.first_stage.name: before}
        for number, reading in enumerate(ranking.readings, 1):
            orders[f"reading {number}"] = [indices[position] for position in reading]
        return _Explainer(orders)


class _Explainer:
    """Says which rank a document had before, and in each reading of the last window."""

    def __init__(self, orders: Mapping[str, Sequence[int]]) -> None:
        self._ranks = {name: {index: rank for rank, index in enumerate(order, 1)} for name, order in orders.items()}

    def __call__(self, index: int) -> Sequence[Contribution]:
        """Return the ranks of a document."""
        return [Contribution(name=name, rank=ranks[index]) for name, ranks in self._ranks.items() if index in ranks]


def _order_before(request: RenderedRequest, first: ModelResult | None) -> list[int]:
    """Return all positions in the request's texts, best first by the first stage."""
    count = len(request.texts)
    if first is None:
        priors = request.prior_scores
        return list(range(count)) if priors is None else sorted(range(count), key=priors.__getitem__, reverse=True)
    position_of = {index: position for position, index in enumerate(request.indices)}
    score_of = {position_of[index]: score for index, score in zip(first.indices, first.scores, strict=True)}
    ranked = sorted(sorted(score_of), key=score_of.__getitem__, reverse=True)
    return [*ranked, *(position for position in range(count) if position not in score_of)]


def _cut_warnings(prompts: ListwisePrompts) -> list[str]:
    if not prompts.cut:
        return []
    tokens = prompts.config.max_document_tokens
    return [f"cut to the {tokens:,} tokens that are read: {counted(prompts.cut, 'document')}"]


def _disagreement_warnings(name: str, ranking: TournamentRanking) -> list[str]:
    found = ranking.disagreement
    if found is None or found < _MUCH_DISAGREEMENT or len(ranking.order) <= 2:
        return []
    return [
        f"{name} ordered {found:.0%} of the pairs of the last {len(ranking.readings[0])} documents differently when it"
        " read them in the opposite order: their order is uncertain"
    ]


def build(config: LlmListwiseConfig, parts: Parts) -> LlmListwise:
    """Build the strategy of a reranker."""
    first = None if config.first_stage is None else parts.member("first_stage", config.first_stage)
    parts.member("model", config.model)
    parts.check("model", lambda: chat_problem(parts.models, config.model))
    parts.check("window", lambda: _window_problem(config, parts.models))
    return LlmListwise(config, parts.models, f"{parts.path}.model", first)


def _window_problem(config: LlmListwiseConfig, models: Models) -> str:
    """Return that a window does not fit into the model's context, where that is known."""
    group = models.router.find(config.model)
    info = None if group is None else group.describe()
    if info is None:
        return ""
    limits = (info.capabilities.max_total_tokens, info.capabilities.max_tokens_per_document)
    context = min((limit for limit in limits if limit is not None), default=None)
    read = config.window * (config.max_document_tokens + TOKENS_AROUND_DOCUMENT)
    needed = PROMPT_TOKENS + read + config.max_answer_tokens(config.window)
    if context is None or needed <= context:
        return ""
    return (
        f"{config.window} documents of {config.max_document_tokens:,} tokens need {needed:,} tokens with prompt and"
        f" answer, and {config.model} takes {context:,}; lower window or max_document_tokens"
    )
