"""Strategy llm-judge: a chat model judges each document by itself, in one token where it tells probabilities."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from rerankd.cache.keys import ScoreScope
from rerankd.cache.pair_scores import CacheUse
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.wording import counted
from rerankd.engine.models import Models
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.failures import combine_errors
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER
from rerankd.engine.scoring.model_result import ChunkCall, ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.usage import usage_of
from rerankd.strategies.chat.model import GroupChatModel, chat_model, chat_problem
from rerankd.strategies.chat.stage import beginning_of, score_as_stage
from rerankd.strategies.judge.prompt import JudgePrompts
from rerankd.strategies.judge.settings import LlmJudgeConfig
from rerankd.strategies.parts import Parts
from rerankd.telemetry.strategy_events import document_judged
from rerankd_adapters.base import ScoreSpace, Scoring
from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.label_reading import LabelReading, label_in_text

_NO_VERDICT: Final = math.nan
_MOST_NAMED: Final = 5
"""Documents without a verdict that a warning names."""


@dataclass(frozen=True, slots=True)
class LlmJudge:
    """Scores by the expected grade of each document. Satisfies `Strategy`.

    Args:
        config: Of the reranker.
        models: Resolves the chat model for each request.
        key: Settings key of the model's name.
    """

    config: LlmJudgeConfig
    models: Models
    key: str
    score_space: ScoreSpace = field(default=ScoreSpace.PROBABILITY, init=False)
    """See `Strategy`: the expected grade as a share of the best one, 0 to 1, comparable across requests."""
    scoring: Scoring = field(default=Scoring.POINTWISE, init=False)
    """See `Strategy`."""

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        model = chat_model(self.models, self.config.model, self.key)
        return await score_as_stage(
            self.config.model, model, request, context, lambda inner: self._judge(model, request, inner)
        )

    async def _judge(self, model: GroupChatModel, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        judging = _Judging(self.config, model, request, context)
        cached = 0
        cache, use = self.models.cache, context.cache_use
        if cache is not None and model.group.options.cache and use is not CacheUse.BYPASS:
            filled = await cache.fill(self._scope(model, request), request.texts, use, judging.score)
            scores, cached = filled.scores, len(request.texts) - filled.fetched
        else:
            scores = await judging.score(range(len(request.texts)))
        kept = [position for position, score in enumerate(scores) if not math.isnan(score)]
        if not kept:
            raise judging.failure()
        calls = sorted(judging.calls, key=lambda call: call.indices[0])
        return ModelResult(
            model=model.name,
            provider=calls[0].result.deployment.provider.name if calls else COMPOSED_PROVIDER,
            indices=[request.indices[position] for position in kept],
            scores=[scores[position] for position in kept],
            score_space=self.score_space,
            usage=usage_of(request, calls, cached, model.group.info().price),
            calls=calls,
            warnings=judging.warnings(),
            has_scale=True,
            minimum_score=0.0,
        )

    def _scope(self, model: GroupChatModel, request: RenderedRequest) -> ScoreScope:
        """Return everything the scores depend on except the documents."""
        config = self.config
        told = (
            config.mode,
            config.labels_used(),
            config.rubric_used(),
            request.request.instruction or config.instruction,
            config.system_prompt,
            config.prompt,
            config.max_document_tokens,
            config.reading,
            config.min_label_probability,
        )
        parameters = {"strategy": "llm-judge", "config": msgspec.to_builtins(told)}
        return ScoreScope(model.group.served_by, model.name, request.query, model.group.info().revision, parameters)


@dataclass(slots=True)
class _Judging:
    """The documents of one request."""

    config: LlmJudgeConfig
    model: GroupChatModel
    request: RenderedRequest
    context: ScoringContext
    calls: list[ChunkCall] = field(default_factory=list)
    cut: int = 0
    """Documents that were cut."""
    causes: dict[int, str] = field(default_factory=dict)
    """Why a document, by its index in the request, has no verdict."""
    errors: list[ServiceError] = field(default_factory=list)
    """Of documents that the provider rejected."""
    _prompts: JudgePrompts = field(init=False)
    _labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._prompts = JudgePrompts(self.config, self.request.query, self.request.request.instruction or "")
        self._labels = self.config.labels_used()

    async def score(self, positions: Sequence[int]) -> list[float]:
        """Judge the documents at `positions`, n >= 1; return n scores, NaN for one without a verdict.

        Raises:
            ServiceError: The model failed, other than by rejecting a document; the other calls are cancelled.
        """
        scores = [_NO_VERDICT] * len(positions)
        left = iter(enumerate(positions))

        async def work() -> None:
            for at, position in left:
                scores[at] = await self._score_one(position, len(positions))

        limit = min(self.config.concurrency, self.model.group.max_concurrent or self.config.concurrency)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(limit, len(positions))):
                    tasks.create_task(work())
        except* ServiceError as failures:
            raise failures.exceptions[0] from None
        return scores

    async def _score_one(self, position: int, total: int) -> float:
        index = self.request.indices[position]
        prompt = self._prompts.of(self.request.texts[position])
        self.cut += prompt.is_cut
        call = ChatCall(
            model="",
            messages=prompt.messages,
            max_tokens=1,
            labels=self._labels,
            reading=None if self.config.reading == "auto" else LabelReading(self.config.reading),
            priority=self.request.request.priority or 0,
            documents=1,
        )
        try:
            answer = await self.model.ask(call, self.context, total=total)
        except ServiceError as error:
            if error.reason is not Reason.PROVIDER_REJECTED_REQUEST:
                raise
            self.errors.append(error)
            self.causes[index] = "the provider rejected it"
            document_judged(self.model.name, "rejected")
            return _NO_VERDICT
        self.calls.append(ChunkCall((index,), answer.result))
        score = expected_grade(answer.reply, self._labels, self.config.min_label_probability)
        if score is None:
            self.causes[index] = beginning_of(answer.reply)
        document_judged(self.model.name, "no_verdict" if score is None else "ok")
        return _NO_VERDICT if score is None else score

    def warnings(self) -> list[str]:
        """Return what the caller should know of cut documents and of those without a verdict."""
        found = []
        if self.cut:
            tokens = self.config.max_document_tokens
            found.append(f"cut to the {tokens:,} tokens that are judged: {counted(self.cut, 'document')}")
        if self.causes:
            indices = sorted(self.causes)
            named = ", ".join(f"documents[{index}]" for index in indices[:_MOST_NAMED])
            more = f" and {len(indices) - _MOST_NAMED} more" if len(indices) > _MOST_NAMED else ""
            causes = "; ".join(dict.fromkeys(self.causes[index] for index in indices[:_MOST_NAMED]))
            found.append(
                f"{self.model.name} gave no verdict on {counted(len(indices), 'document')}, which"
                f" {'has' if len(indices) == 1 else 'have'} no score from it: {named}{more}: {causes}"
            )
        return found

    def failure(self) -> ServiceError:
        """Build the error of a request none of whose documents has a verdict."""
        if self.errors and len(self.errors) == len(self.causes):
            return combine_errors(self.errors[:_MOST_NAMED], self.model.name)
        cause = next((each for each in self.causes.values()), "")
        hint = (
            "; its reasoning could not be switched off: serve it without reasoning, or set reading: json_schema"
            if "<think" in cause
            else f"; it must answer with one of {', '.join(self._labels)}"
        )
        return ServiceError(
            Reason.PROVIDER_BAD_RESPONSE,
            f"{self.model.name} gave no verdict on any of {counted(len(self.causes), 'document')}: {cause}{hint}",
            metadata={"model": self.model.name, "documents": str(len(self.causes)), "cause": cause},
        )


def expected_grade(reply: ChatReply, labels: Sequence[str], min_probability: float) -> float | None:
    """Return the expected grade as a share of the best one, 0 to 1; `None` if the reply is no verdict.

    Args:
        reply: To a call with `labels`.
        labels: n labels from the worst to the best, n >= 2.
        min_probability: Sum of the labels' probabilities below which the reply is no verdict.
    """
    best = len(labels) - 1
    probabilities = reply.label_probabilities
    if probabilities is not None:
        total = sum(probabilities)
        if total <= 0 or total < min_probability:
            return None
        return sum(grade * each for grade, each in enumerate(probabilities)) / total / best
    if reply.reading is not None and reply.reading.gives_probabilities:
        return None
    label = label_in_text(labels, reply.text)
    return None if label is None else labels.index(label) / best


def build(config: LlmJudgeConfig, parts: Parts) -> LlmJudge:
    """Build the strategy of a reranker."""
    parts.member("model", config.model)
    parts.check("model", lambda: chat_problem(parts.models, config.model))
    return LlmJudge(config, parts.models, f"{parts.path}.model")
