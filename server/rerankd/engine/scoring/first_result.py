"""Scores one request with the first of several models that answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rerankd.contract.errors import ServiceError, deadline_exceeded
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.failures import ModelFailure, all_models_failed
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext


async def first_result(
    models: Sequence[ScoringModel],
    request: RenderedRequest,
    context_of: Callable[[ScoringModel, bool], ScoringContext],
    failures: list[ModelFailure],
) -> tuple[ScoringModel, ModelResult]:
    """Score all documents with each model in turn until one succeeds; it holds its share of the admission meanwhile.

    Args:
        models: n models in the order of attempts, n >= 1.
        request: The documents.
        context_of: Returns the context of a model, given whether another one is left to try.
        failures: Receives the models that failed, in the order of attempts.

    Returns:
        The model that succeeded, and its result.

    Raises:
        ServiceError: Every model failed, or one with an error after which no other is tried.
    """
    for number, model in enumerate(models, 1):
        has_fallback = number < len(models)
        context = context_of(model, has_fallback)
        admission, bulkhead = context.admission, model.bulkhead
        try:
            if admission is None:
                return model, await model.score(request, context)
            admission.hold(bulkhead)
            try:
                return model, await model.score(request, context)
            finally:
                admission.release(bulkhead)
        except ServiceError as error:
            if context.deadline_s is not None and time.monotonic() >= context.deadline_s:
                raise deadline_exceeded() from None
            if error.reason not in model.fallback_on and not failures:
                raise
            failures.append(ModelFailure(model.name, error))
            if has_fallback and context.record is not None:
                context.record.fell_back(model.name, models[number].name, error.reason)
    raise all_models_failed(failures)
