"""Adapts a model group to the `ScoringModel` protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from rerankd.cache.pair_scores import CacheUse, PairScores
from rerankd.engine.own_parameters import score_space_of, select_parameters
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.provider_call import provider_call_of
from rerankd.engine.scoring.request_scoring import RequestScoring, Scores
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.usage import usage_of
from rerankd_adapters.base import ModelInfo, ProviderCall, Scoring

_NO_OPTIONS: Final[Mapping[str, Any]] = {}
_NORMALISATIONS: Final[Mapping[str, Normalisation]] = {each.value: each for each in Normalisation}


class GroupModel(Struct):
    """Scores with the deployments of one group. Satisfies `ScoringModel`.

    Args:
        group: Its deployments are called.
        cache: Pair-score cache; `None` without one.
    """

    group: ModelGroup
    cache: PairScores | None = None

    @property
    def name(self) -> str:
        """See `ScoringModel`."""
        return self.group.name

    @property
    def identity(self) -> None:
        """See `ScoringModel`."""
        return

    @property
    def bulkhead(self) -> str:
        """See `ScoringModel`."""
        return self.group.bulkhead

    @property
    def fallback_on(self) -> Collection[str]:
        """See `ScoringModel`."""
        return self.group.options.fallback_on

    @property
    def normalisation(self) -> Normalisation:
        """See `ScoringModel`."""
        return _NORMALISATIONS[self.group.options.normalization]

    @property
    def fallbacks(self) -> Sequence[str]:
        """See `ScoringModel`."""
        return self.group.options.fallbacks

    @property
    def top_n(self) -> int | None:
        """See `ScoringModel`: a model has none of its own."""
        return None

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `ScoringModel`."""
        group, info = self.group, self.group.info()
        given = request.request.provider_options
        options, ignored = (
            select_parameters(group.name, info.parameters, given, request.mapped_parameters)
            if given
            else (_NO_OPTIONS, [])
        )
        call = provider_call_of(
            request, group.name, info, top_n=context.top_n, deadline_s=context.deadline_s, options=options
        )
        warned = ignored if request.warns_of_options else ()
        cache = self.cache if self._is_cacheable(info, call, context.cache_use) else None
        scoring = RequestScoring(group, context, info, call, request.indices, cache)
        scores = await scoring.run() if request.texts else Scores((), ())
        calls = scoring.calls
        answered = calls[0].result.deployment if calls else group.deployments[0]
        return ModelResult(
            model=group.name,
            provider=answered.provider.name,
            indices=scores.indices,
            scores=scores.values,
            score_space=score_space_of(info.capabilities.score_space, info.parameters, options),
            usage=usage_of(request, calls, scores.cached, info.price),
            calls=calls,
            warnings=[*request.warnings, *warned, *self._warnings(info, request), *scoring.warnings],
            has_scale=info.capabilities.has_scale,
            minimum_score=info.capabilities.minimum_score,
        )

    def _is_cacheable(self, info: ModelInfo, call: ProviderCall, use: CacheUse) -> bool:
        """Whether the scores depend only on what the cache keys contain."""
        is_pointwise = info.capabilities.scoring is Scoring.POINTWISE
        return is_pointwise and self.group.options.cache and use is not CacheUse.BYPASS and call.prior_scores is None

    def _warnings(self, info: ModelInfo, request: RenderedRequest) -> list[str]:
        warnings, name, capabilities = [], self.group.name, info.capabilities
        if request.request.instruction and not capabilities.takes_instruction:
            warnings.append(f"instruction was ignored: {name} does not follow instructions")
        if request.request.score_threshold is not None and not capabilities.score_space.is_absolute:
            warnings.append(f"score_threshold: scores of {name} are comparable within one response only")
        return warnings
