"""Asks a member of a reranker: one of the models that its strategy scores with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import structs

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, ScoreNormalization, StageStatus
from rerankd.engine.models import Models
from rerankd.engine.ranking import NORMALISED_SPACES, Normalisation, normalise
from rerankd.engine.rendering import RenderedRequest, select_documents
from rerankd.engine.routing.call_retries import CallRetries
from rerankd.engine.routing.failures import ModelFailure
from rerankd.engine.scoring.composed_model import ComposedModel
from rerankd.engine.scoring.first_result import first_result
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel, stages_of
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.stage_report import StageReport
from rerankd.telemetry.calls.member_watch import MemberWatch
from rerankd_adapters.base import Price, ScoreSpace, Scoring
from rerankd_adapters.parameter import Parameters


class MemberAnswer(NamedTuple):
    """What became of a request to a member."""

    stages: Sequence[StageReport]
    """Report of the member, then those of the stages or members within it."""
    result: ModelResult | None
    """`None` if the member failed."""
    error: ServiceError | None
    """Why it failed; `None` if it did not."""

    @property
    def report(self) -> StageReport:
        """Report of the member."""
        return self.stages[0]

    def scored(self) -> ModelResult:
        """Return the result.

        Raises:
            ServiceError: The member failed.
        """
        if self.result is None:
            raise self.error or ServiceError(Reason.INTERNAL, "a member has neither result nor error")
        return self.result


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a reranker, asked with its own balancing, retries, cooldowns, fallbacks, splitting, cache and cost.

    Args:
        name: In stages, explanations and spans; unique in its reranker.
        model: Name of the model, resolved for each request, so that what a provider serves may change.
        models: Resolves it.
    """

    name: str
    model: str
    models: Models

    @property
    def score_space(self) -> ScoreSpace:
        """What the scores of the model are, as far as is known now."""
        return self._facts()[0]

    @property
    def price(self) -> Price | None:
        """What the model costs, where that is known; `None` for a reranker."""
        group = None if self._composed() else self.models.router.find(self.model)
        info = None if group is None else group.describe()
        return None if info is None else info.price

    @property
    def scoring(self) -> Scoring:
        """Whether the model is pointwise or listwise, as far as is known now."""
        return self._facts()[1]

    @property
    def takes_images(self) -> tuple[bool, bool]:
        """Whether the model takes an image with a document, and one as the query, as far as is known now."""
        if (composed := self._composed()) is not None:
            info = composed.describe()
            return info.takes_images, info.takes_query_images
        group = self.models.router.find(self.model)
        model = None if group is None else group.describe()
        if model is None:
            return False, False
        return bool(model.capabilities.takes_images), bool(model.capabilities.takes_query_images)

    def parameters(self) -> list[Parameters]:
        """Return the own parameters of each API that a request to the model may reach; `None` for one with any."""
        infos = [each.describe() for each in self.models.reachable([self.model])]
        return [info.parameters for info in infos if info is not None]

    async def ask(
        self,
        request: RenderedRequest,
        context: ScoringContext,
        *,
        indices: Sequence[int] | None = None,
        top_n: int | None = None,
        timeout_s: float | None = None,
    ) -> MemberAnswer:
        """Score documents with the member's model; one failure of all of its models is an answer, not an exception.

        Args:
            request: Query and documents of the reranker's request.
            context: Of the reranker's request; its deadline and chunk numbers are shared by all members, and
                each has the retries of its model.
            indices: Index in the request of each document to score, ascending, n >= 1; `None`: all.
            top_n: Number of results needed; `None`: all.
            timeout_s: Seconds after which it has failed, above 0; `None`: only the deadline of the call ends it.
        """
        asked = select_documents(request, request.indices if indices is None else indices, _request_of(self, request))
        began_s = time.perf_counter()
        watch = context.record.member(self.name, self.model, len(asked.indices)) if context.record else None
        model = self.model
        try:
            async with asyncio.timeout(timeout_s):
                found, result = await self._score(asked, context, top_n, timeout_s, watch)
        except TimeoutError:
            error = _too_slow(self, timeout_s or 0.0)
            if watch is not None:
                watch.outcome = error.reason.value
        except ServiceError as failure:
            error = failure
        else:
            return MemberAnswer(self._stages(asked, began_s, found.name, result), result, None)
        report = StageReport(
            self.name,
            model,
            len(asked.indices),
            _elapsed_ms(began_s),
            asked.indices,
            status=StageStatus.FAILED,
            error=error,
        )
        return MemberAnswer([report], None, error)

    async def _score(
        self,
        asked: RenderedRequest,
        context: ScoringContext,
        top_n: int | None,
        timeout_s: float | None,
        watch: MemberWatch | None,
    ) -> tuple[ScoringModel, ModelResult]:
        inner = structs.replace(
            context, top_n=top_n, deadline_s=_sooner(context, timeout_s), retries=CallRetries(), is_member=True
        )
        if watch is None:
            return await self._first(asked, inner)
        with watch:
            inner.record = watch
            model, result = await self._first(asked, inner)
            watch.model, watch.usage = model.name, result.usage
            return model, result

    async def _first(self, asked: RenderedRequest, context: ScoringContext) -> tuple[ScoringModel, ModelResult]:
        models = self.models.candidates(self.model, ())
        failures: list[ModelFailure] = []

        def context_of(model: ScoringModel, has_fallback: bool) -> ScoringContext:
            needs_all = model.normalisation is Normalisation.MINMAX
            top_n = None if needs_all else context.top_n
            return structs.replace(context, top_n=top_n, has_fallback=has_fallback or context.has_fallback)

        model, result = await first_result(models, asked, context_of, failures)
        if (normalisation := model.normalisation) is not Normalisation.NONE:
            result.scores = normalise(result.scores, normalisation)
            result.score_space = NORMALISED_SPACES[normalisation]
            result.minimum_score = 0.0
        if failures:
            result.warnings = [*result.warnings, *(f"{self.name} fell back: {each.error}" for each in failures)]
        return model, result

    def _stages(self, asked: RenderedRequest, began_s: float, model: str, result: ModelResult) -> Sequence[StageReport]:
        report = StageReport(
            self.name, model, len(asked.indices), _elapsed_ms(began_s), asked.indices, usage=result.usage
        )
        return [report, *(stage.within(self.name) for stage in stages_of(result))]

    def _composed(self) -> ComposedModel | None:
        return self.models.composed.get(self.models.router.name_of(self.model))

    def _facts(self) -> tuple[ScoreSpace, Scoring]:
        if (composed := self._composed()) is not None:
            info = composed.describe()
            return info.score_space, info.scoring
        group = self.models.router.find(self.model)
        if group is None or (model := group.describe()) is None:
            return ScoreSpace.UNKNOWN, Scoring.UNKNOWN
        space = model.capabilities.score_space
        return NORMALISED_SPACES.get(Normalisation(group.options.normalization), space), model.capabilities.scoring


def _request_of(member: Member, request: RenderedRequest) -> RerankRequest:
    """Return the request as the member is asked: what the reranker does itself is left out."""
    return structs.replace(
        request.request,
        model=member.model,
        top_n=None,
        score_threshold=None,
        normalization=ScoreNormalization.UNSPECIFIED,
        fallbacks=[],
    )


def _sooner(context: ScoringContext, timeout_s: float | None) -> float | None:
    """Return the deadline of the call, or that of a member with a time limit of its own."""
    if timeout_s is None:
        return context.deadline_s
    ends_s = time.monotonic() + timeout_s
    return ends_s if context.deadline_s is None else min(ends_s, context.deadline_s)


def _elapsed_ms(began_s: float) -> float:
    return round((time.perf_counter() - began_s) * 1000, 3)


def _too_slow(member: Member, timeout_s: float) -> ServiceError:
    return ServiceError(
        Reason.DEADLINE_EXCEEDED,
        f"{member.name} did not answer within {timeout_s * 1000:.0f} ms",
        metadata={"member": member.name, "model": member.model, "timeout_ms": f"{timeout_s * 1000:.0f}"},
    )
