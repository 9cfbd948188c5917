"""The engine: admission, validation, rendering, scoring with fallbacks, ranking, response."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

from rerankd.cache.pair_scores import CacheUse, PairScores
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError, deadline_exceeded
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine import catalog
from rerankd.engine.limits import Admission, RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.name_checks import check_model_name
from rerankd.engine.ranking import Normalisation, normalise, rank
from rerankd.engine.rendering import RenderedRequest, render
from rerankd.engine.response import build_response
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.failures import ModelFailure, all_models_failed
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.start_pacer import StartPacer
from rerankd.engine.validation import check_request
from rerankd.telemetry.call_record import CallRecord
from rerankd.telemetry.recording import current_record

_NORMALISATIONS: Final = {
    messages.ScoreNormalization.NONE: Normalisation.NONE,
    messages.ScoreNormalization.MINMAX: Normalisation.MINMAX,
    messages.ScoreNormalization.SIGMOID: Normalisation.SIGMOID,
}
_CACHE_USES: Final = {
    messages.CacheControl.UNSPECIFIED: CacheUse.READ_WRITE,
    messages.CacheControl.NO_STORE: CacheUse.READ_ONLY,
    messages.CacheControl.BYPASS: CacheUse.BYPASS,
}


class Engine:
    """Reranks with the models of one version of the settings. Safe for concurrent tasks of one event loop.

    Satisfies `RerankService`.

    Args:
        router: Resolves model groups.
        limits: Limits of request size and concurrency.
        cache: Pair-score cache; `None` without one.
        models: Resolves model names; default: the groups of `router`.
    """

    def __init__(
        self, router: Router, limits: RequestLimits, cache: PairScores | None = None, models: Models | None = None
    ) -> None:
        self._router = router
        self._limits = limits
        self._models = models or Models(router, cache)
        self._admission = Admission(limits.max_concurrent_calls)
        self._pacer = StartPacer()

    def deployments(self) -> Iterable[Deployment]:
        """Return the deployments of the cached model groups."""
        return self._router.deployments()

    def reachable(self, request: RerankRequest) -> Iterable[Deployment]:
        """Return the deployments that a request may use, including fallbacks."""
        return self._router.reachable((request.model, *request.fallbacks))

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        """Score every document of `request` and return the best, best first.

        Raises:
            ServiceError: The request is invalid, refused, or every model failed.
        """
        started_s = time.monotonic()
        self._admission.enter()
        try:
            if not self._pacer.try_start():
                await self._pacer.wait()
            check_request(request, self._limits, allows_blank=call.ranks_blank_last)
            models = self._models.candidates(request.model, request.fallbacks)
            if (record := current_record()) is not None:
                record.model = models[0].name
            rendered = await render(request, omits_blank=call.ranks_blank_last)
            scoring = _FallbackScoring(rendered, call, record)
            model, result = await scoring.run(models)
            normalisation = scoring.normalisation_of(model)
            values = normalise(result.scores, normalisation)
            ranking = rank(result.indices, values, request.top_n, request.score_threshold, rendered.blank_indices)
            return build_response(request, call, result, scoring.failures, ranking, normalisation, started_s)
        finally:
            self._admission.leave()

    async def list_models(self, request: messages.ListModelsRequest, _call: CallContext) -> messages.ListModelsResponse:
        """List a page of models, ordered by name.

        Raises:
            ServiceError: `INVALID_REQUEST` for a page size out of range.
        """
        return catalog.list_models(self._router, request)

    async def get_model(self, request: messages.GetModelRequest, _call: CallContext) -> messages.GetModelResponse:
        """Return one model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`; `INVALID_REQUEST` for a name that is too long.
        """
        check_model_name(request.model, self._limits)
        return catalog.get_model(self._router, request)


class _FallbackScoring:
    """Scores one request with a model, and with its fallbacks while that fails."""

    def __init__(self, rendered: RenderedRequest, call: CallContext, record: CallRecord | None) -> None:
        self._rendered = rendered
        self._request = rendered.request
        self._call = call
        self._record = record
        self.failures: list[ModelFailure] = []
        """The models that failed, in the order of attempts."""

    def normalisation_of(self, model: ScoringModel) -> Normalisation:
        """Return the normalisation of the scores of `model`: the request's, else the model's."""
        return _NORMALISATIONS.get(self._request.normalization) or model.normalisation

    async def run(self, models: Sequence[ScoringModel]) -> tuple[ScoringModel, ModelResult]:
        """Score with the first model that succeeds before the deadline.

        Args:
            models: Models in the order of attempts, n >= 1.

        Returns:
            The model that succeeded, and its result.

        Raises:
            ServiceError: Every model failed, or `DEADLINE_EXCEEDED`.
        """
        remaining_s = self._call.remaining_s()
        if remaining_s is None:
            return await self._first_result(models)
        if remaining_s <= 0:
            raise deadline_exceeded()
        try:
            async with asyncio.timeout(remaining_s):
                return await self._first_result(models)
        except TimeoutError:
            raise deadline_exceeded() from None

    async def _first_result(self, models: Sequence[ScoringModel]) -> tuple[ScoringModel, ModelResult]:
        """Score the whole request with each model in turn until one succeeds."""
        for number, model in enumerate(models, 1):
            has_fallback = number < len(models)
            try:
                return model, await model.score(self._rendered, self._context(model, has_fallback=has_fallback))
            except ServiceError as error:
                if (remaining_s := self._call.remaining_s()) is not None and remaining_s <= 0:
                    raise deadline_exceeded() from None
                if error.reason not in model.fallback_on and not self.failures:
                    raise
                self.failures.append(ModelFailure(model.name, error))
                if has_fallback and self._record is not None:
                    self._record.fell_back(model.name, models[number].name, error.reason)
        raise all_models_failed(self.failures)

    def _context(self, model: ScoringModel, *, has_fallback: bool) -> ScoringContext:
        needs_all = self.normalisation_of(model) is Normalisation.MINMAX
        return ScoringContext(
            deadline_s=self._call.deadline_s,
            top_n=None if needs_all else self._request.top_n,
            cache_use=_CACHE_USES[self._request.cache],
            has_fallback=has_fallback,
            record=self._record,
        )
