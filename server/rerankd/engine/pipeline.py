"""The engine: admission, validation, rendering, scoring with fallbacks, ranking, response."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from copy import copy

from msgspec import structs

from rerankd.cache.pair_scores import PairScores
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine import catalog
from rerankd.engine.admission import Admission
from rerankd.engine.blank_documents import BlankDocuments
from rerankd.engine.fallback_scoring import FallbackScoring
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.name_checks import check_model_name, check_names
from rerankd.engine.own_parameters import take_contract_parameters
from rerankd.engine.ranking import normalise, rank
from rerankd.engine.rendering import RenderedRequest, render, render_plain
from rerankd.engine.response import build_response
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.estimate import Estimate, Needed, Quote
from rerankd.engine.start_pacer import StartPacer
from rerankd.engine.time_limits import TimeLimits
from rerankd.engine.validation import check_request
from rerankd.engine.warming import Warming
from rerankd.telemetry.calls.recording import current_record


class Engine:
    """Reranks with the models of one version of the settings. Safe for concurrent tasks of one event loop.

    Satisfies `RerankService`.

    Args:
        router: Resolves model groups.
        limits: Limits of request size and concurrency.
        cache: Pair-score cache; `None` without one.
        models: Resolves model names; default: the groups of `router`.
        blank_documents: What happens to blank documents; `None`: what the call's context says.
        inspect: Takes a request, its context and the name of its model before it is scored, and returns it as it may be
            scored or raises `ServiceError`; `None` without guardrails.
    """

    def __init__(
        self,
        router: Router,
        limits: RequestLimits,
        cache: PairScores | None = None,
        models: Models | None = None,
        *,
        blank_documents: BlankDocuments | None = None,
        inspect: Callable[[RenderedRequest, CallContext, str], Awaitable[RenderedRequest]] | None = None,
    ) -> None:
        self._router = router
        self._limits = limits
        self._blank_documents = blank_documents
        self._inspect = inspect
        self._models = models or Models(router, cache)
        self._admission = Admission(limits.max_concurrent_calls, limits.max_provider_share)
        self._time_limits = TimeLimits()
        self._pacer = StartPacer()
        self._warming = Warming(self._models, limits, self._admission)

    @property
    def models(self) -> Models:
        """Resolves model names."""
        return self._models

    def with_models(self, models: Models) -> Engine:
        """Return an engine with other models that shares everything else with this one: admission, pace, statistics.

        Args:
            models: Over the same model groups.
        """
        other = copy(self)
        other._models, other._router = models, models.router
        other._warming = Warming(models, self._limits, self._admission)
        return other

    def deployments(self) -> Iterable[Deployment]:
        """Return the deployments of the cached model groups."""
        return self._router.deployments()

    def reachable(self, request: RerankRequest) -> Iterable[Deployment]:
        """Return the deployments that a request may use, including fallbacks; none if its names are refused."""
        if check_names(request, self._limits):
            return ()
        return self._models.reachable((request.model, *request.fallbacks))

    def quote(self, request: RerankRequest, needed: Needed) -> Quote:
        """Return the model that a request asks for, and what it is expected to use; see `Models.quote`.

        Nothing is looked up for a request whose names will be refused: it has no model, and uses nothing.
        """
        if check_names(request, self._limits):
            return Quote("", Estimate(0, 0.0) if needed else None)
        return self._models.quote(request, needed)

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
            omits_blank = self._ranks_blank_last(call)
            request, warnings = take_contract_parameters(request)
            is_plain = await check_request(request, self._limits, allows_blank=omits_blank)
            models = self._models.candidates(request.model, request.fallbacks)
            if (record := current_record()) is not None:
                record.model, record.reranker = models[0].name, models[0].identity
            if len(models) == 1:
                self._admission.check(models[0].bulkhead)
            rendered = render_plain(request) if is_plain else await render(request, omits_blank=omits_blank)
            if warnings or call.mapped_parameters:
                rendered = structs.replace(
                    rendered, warnings=[*warnings, *rendered.warnings], mapped_parameters=call.mapped_parameters
                )
            if self._inspect is not None:
                rendered = await self._inspect(rendered, call, models[0].name)
            if record is not None:
                record.texts = rendered
            limits = self._time_limits, self._limits.default_timeout_s
            scoring = FallbackScoring(rendered, call.deadline_s, *limits, self._admission, record)
            model, result = await scoring.run(models)
            if record is not None:
                record.reranker = model.identity
            normalisation = scoring.normalisation_of(model)
            values = normalise(result.scores, normalisation)
            threshold = result.score_threshold if request.score_threshold is None else request.score_threshold
            ranking = rank(result.indices, values, scoring.top_n, threshold, rendered.blank_indices)
            return build_response(request, call, result, scoring.failures, ranking, normalisation, started_s)
        finally:
            self._admission.leave()

    async def list_models(self, request: messages.ListModelsRequest, _call: CallContext) -> messages.ListModelsResponse:
        """List a page of models, ordered by name.

        Raises:
            ServiceError: `INVALID_REQUEST` for a page size out of range.
        """
        return catalog.list_models(self._models, request)

    async def get_model(self, request: messages.GetModelRequest, _call: CallContext) -> messages.GetModelResponse:
        """Return one model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`; `INVALID_REQUEST` for a name that is too long.
        """
        check_model_name(request.model, self._limits)
        return catalog.get_model(self._models, request)

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext
    ) -> messages.WarmDocumentsResponse:
        """Compute the vectors of documents ahead.

        Raises:
            ServiceError: The request is invalid or refused, or the model keeps no vectors.
        """
        self._admission.enter()
        try:
            return await self._warming.run(request, call)
        finally:
            self._admission.leave()

    def _ranks_blank_last(self, call: CallContext) -> bool:
        if self._blank_documents is None:
            return call.ranks_blank_last
        return self._blank_documents is BlankDocuments.RANK_LAST
