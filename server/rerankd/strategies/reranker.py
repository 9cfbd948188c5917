"""A reranker: a named configuration of a strategy, called like any other model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from msgspec import structs

from rerankd.contract.messages import ModelStatus, Strategy, Usage
from rerankd.engine.own_parameters import ignored_by_all
from rerankd.engine.ranking import NORMALISED_SPACES, Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER, ComposedInfo
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.strategies import strategy
from rerankd.strategies.common_settings import RerankerSettings
from rerankd.strategies.member import Member
from rerankd.telemetry.calls.call_record import RerankerIdentity


@dataclass(frozen=True, slots=True)
class RerankerModel:
    """A model that scores by a strategy. Satisfies `ComposedModel`.

    Its members hold their providers' shares of the admission while they score; it has a share of its own, so that no
    reranker can fill the server.
    """

    name: str
    """Its key in the settings."""
    settings: RerankerSettings
    kind: Strategy
    """Name of the strategy."""
    strategy: strategy.Strategy
    members: Sequence[str]
    """Names of the models it asks, as in the settings, without duplicates."""
    asked: Sequence[Member] = ()
    """The members that score documents; others, such as chat models, read texts."""
    version: int = 0
    """Of a stored reranker, from 1; 0 for one of the settings."""

    @property
    def identity(self) -> RerankerIdentity:
        """See `ScoringModel`."""
        return RerankerIdentity(self.name, self.kind.value, self.version)

    @property
    def is_stored(self) -> bool:
        """See `ComposedModel`."""
        return self.version > 0

    @property
    def bulkhead(self) -> str:
        """See `ScoringModel`."""
        return self.name

    @property
    def fallback_on(self) -> Collection[str]:
        """See `ScoringModel`."""
        return self.settings.config.fallback_on

    @property
    def fallbacks(self) -> Sequence[str]:
        """See `ScoringModel`."""
        return self.settings.config.fallbacks

    @property
    def normalisation(self) -> Normalisation:
        """See `ScoringModel`."""
        return Normalisation(self.settings.config.normalization)

    @property
    def top_n(self) -> int | None:
        """See `ScoringModel`."""
        return self.settings.config.top_n

    @property
    def is_disabled(self) -> bool:
        """See `ComposedModel`."""
        return self.settings.status == "disabled"

    def describe(self) -> ComposedInfo:
        """See `ComposedModel`."""
        disabled = self.is_disabled
        takes = [member.takes_images for member in self.asked] or [(False, False)]
        return ComposedInfo(
            strategy=self.kind,
            members=self.members,
            score_space=NORMALISED_SPACES.get(self.normalisation, self.strategy.score_space),
            scoring=self.strategy.scoring,
            takes_images=all(documents for documents, _ in takes),
            takes_query_images=all(query for _, query in takes),
            description=self.settings.description,
            status=ModelStatus.UNAVAILABLE if disabled else ModelStatus.AVAILABLE,
            status_detail=self._disabled_detail if disabled else "",
        )

    @property
    def _disabled_detail(self) -> str:
        return "disabled" if self.is_stored else "disabled in the settings"

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `ScoringModel`."""
        if not request.texts:
            return ModelResult(
                self.name, COMPOSED_PROVIDER, (), (), self.strategy.score_space, Usage(), warnings=request.warnings
            )
        ignored: Sequence[str] = ()
        if (options := request.request.provider_options) and request.warns_of_options:
            known = [each for member in self.asked for each in member.parameters()]
            ignored = ignored_by_all(self.name, known, options, request.mapped_parameters)
            request = structs.replace(request, warns_of_options=False)
        result = await self.strategy.score(request, context)
        result.model = self.name
        warnings = [*ignored, *self._warnings(request, result)]
        if (threshold := self.settings.config.score_threshold) is not None and not context.is_member:
            if result.score_space is self.strategy.score_space:
                result.score_threshold = threshold
            elif request.request.score_threshold is None:
                warnings.append(f"score_threshold of {self.name} was not applied: its scores are {result.score_space}")
        result.warnings = [*request.warnings, *dict.fromkeys(result.warnings), *warnings]
        return result

    def _warnings(self, request: RenderedRequest, result: ModelResult) -> list[str]:
        if request.request.score_threshold is None or result.score_space.is_absolute:
            return []
        return [f"score_threshold: scores of {self.name} are comparable within one response only"]
