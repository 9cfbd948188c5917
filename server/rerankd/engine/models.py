"""Resolves model names to scoring models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rerankd.cache.pair_scores import PairScores
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.group_model import GroupModel
from rerankd.engine.scoring.model_result import ScoringModel


class Models:
    """Resolves names to scoring models: model groups, and strategies composed of several models.

    Args:
        router: Resolves aliases and model groups.
        cache: Pair-score cache of the groups; `None` without one.
        composed: Composed models by name; they take precedence over a group of the same name.
    """

    def __init__(
        self, router: Router, cache: PairScores | None = None, composed: Mapping[str, ScoringModel] | None = None
    ) -> None:
        self._router = router
        self._cache = cache
        self._composed = composed or {}

    def resolve(self, name: str, field: str = "model") -> ScoringModel:
        """Return the model of a name or alias; the default model for an empty name.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        if self._composed and (found := self._composed.get(self._router.name_of(name))) is not None:
            return found
        return GroupModel(self._router.resolve(name, field), self._cache)

    def candidates(self, name: str, fallbacks: Sequence[str]) -> Sequence[ScoringModel]:
        """Return the models to try, in order, without duplicates: requested, requested fallbacks, configured fallbacks.

        Configured fallbacks that nothing serves now, such as a model its server does not list yet, are skipped.

        Args:
            name: Requested model; empty for the default model.
            fallbacks: Requested fallbacks.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` for a requested name.
        """
        first = self.resolve(name)
        more = [self.resolve(each, f"fallbacks[{index}]") for index, each in enumerate(fallbacks)]
        if isinstance(first, GroupModel):
            more += [GroupModel(group, self._cache) for group in self._router.fallbacks_of(first.group)]
        return [first] if not more else list({model.name: model for model in (first, *more)}.values())
