"""A call's path, from the decoded request to the response."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import structs

from rerankd.cache.pair_scores import CacheUse, PairScores
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason, ServiceError, deadline_exceeded
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine import batch, catalog
from rerankd.engine.limits import Admission, RequestLimits
from rerankd.engine.ranking import Normalisation, normalise, rank
from rerankd.engine.rendering import document_texts, rank_field_warnings
from rerankd.engine.response import ModelResult, build_response
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.failures import all_models_failed
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.provider_call import provider_call_of
from rerankd.engine.scoring.request_scoring import RequestScoring
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.start_pacer import StartPacer
from rerankd.engine.validation import check_request
from rerankd.telemetry.call import CallRecord
from rerankd_adapters.base import ModelInfo, ProviderCall, Scoring

_NORMALISATIONS = {
    messages.ScoreNormalization.NONE: Normalisation.NONE,
    messages.ScoreNormalization.MINMAX: Normalisation.MINMAX,
    messages.ScoreNormalization.SIGMOID: Normalisation.SIGMOID,
}
_CACHE_USES = {
    messages.CacheControl.UNSPECIFIED: CacheUse.READ_WRITE,
    messages.CacheControl.NO_STORE: CacheUse.READ_ONLY,
    messages.CacheControl.BYPASS: CacheUse.BYPASS,
}

_TIMER_EARLY_S = 0.002
"""So much earlier than it was set for, a timer of the event loop may end a call: it counts whole milliseconds."""


class Engine:
    """What both transports call. Safe for any number of tasks of one event loop.

    Args:
        router: Finds models.
        limits: Of one call, and of calls at once.
        cache: Known scores; `None` keeps none.
    """

    def __init__(self, router: Router, limits: RequestLimits, cache: PairScores | None = None) -> None:
        self._router = router
        self._limits = limits
        self._cache = cache
        self._admission = Admission(limits.max_concurrent_calls)
        self._pacer = StartPacer()

    def deployments(self) -> Iterable[Deployment]:
        """List the deployments of the models in use."""
        return self._router.deployments()

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        """Score every document of `request` and return the best, best first.

        Raises:
            ServiceError: What the caller should know of the failure.
        """
        started_s = time.monotonic()
        record = CallRecord(request, call)
        try:
            response = await self._rerank(request, call, record, started_s)
        except ServiceError as error:
            record.failed(error.reason, error.code)
            raise
        except asyncio.CancelledError:
            record.failed(*_cancel_cause(call))
            raise
        except BaseException:
            record.failed(Reason.INTERNAL, Code.INTERNAL)
            raise
        record.answered(response)
        return response

    async def _rerank(
        self, request: RerankRequest, call: CallContext, record: CallRecord, started_s: float
    ) -> RerankResponse:
        self._admission.enter()
        try:
            if not self._pacer.try_start():
                await self._pacer.wait()
            check_request(request, self._limits)
            group = self._router.resolve(request.model)
            record.model = group.name
            groups = [group, *self._router.fallbacks_of(group, request.fallbacks)]
            answered = await self._in_time(groups, request, call, record)
            scores = answered.scores
            values = normalise(scores.values, _normalisation(request, answered.group))
            ranking = rank(scores.indices, values, request.top_n, request.score_threshold)
            return build_response(request, call, answered, ranking, started_s)
        finally:
            self._admission.leave()

    async def list_models(self, request: messages.ListModelsRequest, _call: CallContext) -> messages.ListModelsResponse:
        """List a page of the models that can be named, ordered by name.

        Raises:
            ServiceError: `INVALID_REQUEST` for a bad page size or token.
        """
        return catalog.list_models(self._router, request)

    async def get_model(self, request: messages.GetModelRequest, _call: CallContext) -> messages.GetModelResponse:
        """Return one model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`.
        """
        return catalog.get_model(self._router, request)

    def batch_rerank(
        self, requests: AsyncIterator[messages.BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[messages.BatchRerankResponse]:
        """Rerank a stream of items, reading no faster than the answers are taken."""
        return batch.run_batch(self.rerank, requests, call, self._limits.batch_concurrency)

    async def _in_time(
        self, groups: Sequence[ModelGroup], request: RerankRequest, call: CallContext, record: CallRecord
    ) -> ModelResult:
        """Ask the models for as long as the caller waits."""
        remaining_s = call.remaining_s()
        if remaining_s is None:
            return await self._first_answer(groups, request, call, record)
        if remaining_s <= 0:
            raise deadline_exceeded()
        try:
            async with asyncio.timeout(remaining_s):
                return await self._first_answer(groups, request, call, record)
        except TimeoutError:
            raise deadline_exceeded() from None

    async def _first_answer(
        self, groups: Sequence[ModelGroup], request: RerankRequest, call: CallContext, record: CallRecord
    ) -> ModelResult:
        """Ask the models in order, the whole request each time, until one answers."""
        documents = document_texts(request)
        failures: list[tuple[ModelGroup, ServiceError]] = []
        for place, group in enumerate(groups):
            is_last = place == len(groups) - 1
            try:
                common = ScoringContext(group, has_fallback=not is_last, record=record)
                answered = await self._ask(common, request, documents, call)
            except ServiceError as error:
                if (remaining_s := call.remaining_s()) is not None and remaining_s <= 0:
                    raise deadline_exceeded() from None
                if error.reason not in group.options.fallback_on and not failures:
                    raise
                failures.append((group, error))
                if not is_last:
                    record.fell_back(group.name, groups[place + 1].name, error.reason)
                continue
            answered.failures = failures
            return answered
        raise all_models_failed(failures)

    async def _ask(
        self, common: ScoringContext, request: RerankRequest, documents: Sequence[str], call: CallContext
    ) -> ModelResult:
        group = common.group
        info = group.info()
        provider_call = provider_call_of(request, group.name, info, documents, call.deadline_s)
        if _normalisation(request, group) is Normalisation.MINMAX:
            provider_call = structs.replace(provider_call, top_n=None)
        use = _CACHE_USES[request.cache]
        cache = self._cache if _is_cacheable(group, info, provider_call, use) else None
        scoring = RequestScoring(common, info, provider_call, cache, use)
        scores = await scoring.run()
        warnings = [*_warnings(group, info, request), *scoring.warnings]
        return ModelResult(group, info, scores, scoring.answers, warnings)


def _is_cacheable(group: ModelGroup, info: ModelInfo, call: ProviderCall, use: CacheUse) -> bool:
    """Whether scores depend on nothing but what the cache's keys are made of."""
    is_pointwise = info.capabilities.scoring is Scoring.POINTWISE
    return is_pointwise and group.options.cache and use is not CacheUse.BYPASS and call.prior_scores is None


def _normalisation(request: RerankRequest, group: ModelGroup) -> Normalisation:
    return _NORMALISATIONS.get(request.normalization) or Normalisation(group.options.normalization)


def _cancel_cause(call: CallContext) -> tuple[Reason, Code]:
    """Tell a caller who went away from a transport that ended the call at its deadline."""
    remaining_s = call.remaining_s()
    if remaining_s is not None and remaining_s <= _TIMER_EARLY_S:
        return Reason.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED
    return Reason.CANCELLED, Code.CANCELLED


def _warnings(group: ModelGroup, info: ModelInfo, request: RerankRequest) -> list[str]:
    warnings = rank_field_warnings(request)
    capabilities = info.capabilities
    if request.instruction and not capabilities.takes_instruction:
        warnings.append(f"instruction was ignored: {group.name} does not follow instructions")
    if request.score_threshold is not None and not capabilities.score_space.is_absolute:
        warnings.append(f"score_threshold: scores of {group.name} compare within one response only")
    return warnings
