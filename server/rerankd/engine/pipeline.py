"""A call's path, from the decoded request to the response."""

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
    """Answers calls with the models of one state of the settings. Safe for any number of tasks of one event loop.

    Satisfies `RerankService`.

    Args:
        router: Finds deployments.
        limits: Of one call, and of calls at once.
        cache: Known scores; `None` keeps none.
        models: What callers can name; default: the router's.
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
        """List the deployments of the models in use."""
        return self._router.deployments()

    def reachable(self, request: RerankRequest) -> Iterable[Deployment]:
        """List the deployments that a request may use."""
        return self._router.reachable((request.model, *request.fallbacks))

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        """Score every document of `request` and return the best, best first.

        Raises:
            ServiceError: What the caller should know of the failure.
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
            rendered = render(request, leaves_out_blank=call.ranks_blank_last)
            asked = _Asked(rendered, call)
            model, result = await asked.in_time(models)
            normalisation = asked.normalisation_of(model)
            values = normalise(result.scores, normalisation)
            ranking = rank(result.indices, values, request.top_n, request.score_threshold, rendered.blank_indices)
            return build_response(request, call, result, asked.failures, ranking, normalisation, started_s)
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


class _Asked:
    """One request on its way through the models that may answer it."""

    def __init__(self, rendered: RenderedRequest, call: CallContext) -> None:
        self._rendered = rendered
        self._request = rendered.request
        self._call = call
        self.failures: list[ModelFailure] = []
        """The models that failed, in the order they were asked."""

    def normalisation_of(self, model: ScoringModel) -> Normalisation:
        """Return what is made of the scores of `model`."""
        return _NORMALISATIONS.get(self._request.normalization) or model.normalisation

    async def in_time(self, models: Sequence[ScoringModel]) -> tuple[ScoringModel, ModelResult]:
        """Ask the models for as long as the caller waits."""
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
        """Ask the models in order, the whole request each time, until one answers."""
        record = current_record()
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
                if has_fallback and record is not None:
                    record.fell_back(model.name, models[number].name, error.reason)
        raise all_models_failed(self.failures)

    def _context(self, model: ScoringModel, *, has_fallback: bool) -> ScoringContext:
        needs_all = self.normalisation_of(model) is Normalisation.MINMAX
        return ScoringContext(
            deadline_s=self._call.deadline_s,
            top_n=None if needs_all else self._request.top_n,
            cache_use=_CACHE_USES[self._request.cache],
            has_fallback=has_fallback,
            record=current_record(),
        )
