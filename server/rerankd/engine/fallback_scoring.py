"""Scores one request with a model, and with its fallbacks while that fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rerankd.cache.pair_scores import CacheUse
from rerankd.contract import messages
from rerankd.contract.errors import deadline_exceeded
from rerankd.engine.admission import Admission
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.call_retries import CallRetries
from rerankd.engine.routing.failures import ModelFailure
from rerankd.engine.scoring.first_result import first_result
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.time_limits import TimeLimits
from rerankd.telemetry.calls.call_record import CallRecord

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


class FallbackScoring:
    """The models of one call. One deadline and one budget of retries cover all of them. Used once.

    Args:
        rendered: The request.
        deadline_s: `time.monotonic()` of the caller's deadline; `None`: the default one applies.
        time_limits: Of the engine.
        default_timeout_s: Seconds for a call without a deadline.
        admission: Has admitted the call.
        record: Telemetry of the call; `None` if it is not recorded.
    """

    __slots__ = (
        "_admission",
        "_deadline_s",
        "_default_timeout_s",
        "_record",
        "_rendered",
        "_request",
        "_retries",
        "_time_limits",
        "failures",
        "top_n",
    )

    def __init__(
        self,
        rendered: RenderedRequest,
        deadline_s: float | None,
        time_limits: TimeLimits,
        default_timeout_s: float,
        admission: Admission,
        record: CallRecord | None,
    ) -> None:
        self._rendered = rendered
        self._request = rendered.request
        self._deadline_s = deadline_s
        self._time_limits = time_limits
        self._default_timeout_s = default_timeout_s
        self._admission = admission
        self._record = record
        self._retries = CallRetries()
        self.top_n: int | None = None
        """Number of results: the request's, else that of the first model."""
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
        remaining_s = self._default_timeout_s if self._deadline_s is None else self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise deadline_exceeded()
        self.top_n = models[0].top_n if self._request.top_n is None else self._request.top_n
        try:
            with self._time_limits.of(remaining_s):
                return await first_result(models, self._rendered, self._context, self.failures)
        except TimeoutError:
            raise deadline_exceeded() from None

    def _context(self, model: ScoringModel, has_fallback: bool) -> ScoringContext:
        needs_all = self.normalisation_of(model) is Normalisation.MINMAX
        return ScoringContext(
            deadline_s=self._deadline_s,
            top_n=None if needs_all else self.top_n,
            cache_use=_CACHE_USES[self._request.cache],
            has_fallback=has_fallback,
            retries=self._retries,
            record=self._record,
            admission=self._admission,
        )
