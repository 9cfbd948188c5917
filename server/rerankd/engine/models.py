"""Every model that a caller can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rerankd.cache.pair_scores import PairScores
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.group_model import GroupModel
from rerankd.engine.scoring.model_result import ScoringModel


class Models:
    """Resolves names to models: the deployment groups of a router, and models made of others.

    Args:
        router: Finds deployment groups, and what an alias stands for.
        cache: Known scores of the groups; `None` keeps none.
        composed: Models that are no deployment group, by name; they win over a group of the same name.
    """

    def __init__(
        self, router: Router, cache: PairScores | None = None, composed: Mapping[str, ScoringModel] | None = None
    ) -> None:
        self._router = router
        self._cache = cache
        self._composed = composed or {}

    def resolve(self, name: str, field: str = "model") -> ScoringModel:
        """Find a model by name or alias; empty means the default model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        if self._composed and (found := self._composed.get(self._router.name_of(name))) is not None:
            return found
        return GroupModel(self._router.resolve(name, field), self._cache)

    def candidates(self, name: str, fallbacks: Sequence[str]) -> Sequence[ScoringModel]:
        """Return the models to ask in order, each once: the one named, the fallbacks asked for, those of the settings.

        A fallback of the settings that is not there now, such as a model its server has not told of yet, is left out:
        it must not fail calls that do not need it.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, for a name the caller sent.
        """
        first = self.resolve(name)
        more = [self.resolve(each, f"fallbacks[{index}]") for index, each in enumerate(fallbacks)]
        if isinstance(first, GroupModel):
            more += [GroupModel(group, self._cache) for group in self._router.fallbacks_of(first.group)]
        return [first] if not more else list({model.name: model for model in (first, *more)}.values())
