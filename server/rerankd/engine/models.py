"""Resolves model names to scoring models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rerankd.cache.pair_scores import PairScores
from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.router import ProviderNotConfiguredError, Router
from rerankd.engine.scoring.composed_model import ComposedModel
from rerankd.engine.scoring.estimate import NOTHING, Estimate, Needed, Quote, estimate, texts_of
from rerankd.engine.scoring.group_model import GroupModel
from rerankd.engine.scoring.model_result import ModelResult, ScoringModel
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd_adapters.base import Price


@dataclass(slots=True)
class _UnconfiguredModel:
    """A model whose provider is not configured: it fails, so that a fallback is tried. Satisfies `ScoringModel`."""

    name: str
    error: ServiceError
    identity: None = None
    bulkhead: str = "unconfigured"
    fallback_on: Collection[str] = (Reason.MODEL_NOT_FOUND,)
    normalisation: Normalisation = Normalisation.NONE
    fallbacks: Sequence[str] = ()
    top_n: int | None = None

    async def score(self, _request: RenderedRequest, _context: ScoringContext) -> ModelResult:
        """Raise the error."""
        raise self.error


class Models:
    """Resolves names to scoring models: model groups, and rerankers composed of several models.

    Args:
        router: Resolves aliases and model groups.
        cache: Pair-score cache of the groups; `None` without one.
        composed: Composed models by name; they take precedence over a group of the same name. May be filled later, as
            composed models resolve their members by the same object.
    """

    def __init__(
        self, router: Router, cache: PairScores | None = None, composed: Mapping[str, ComposedModel] | None = None
    ) -> None:
        self.router = router
        self.cache = cache
        self.composed: Mapping[str, ComposedModel] = {} if composed is None else composed

    def resolve(self, name: str, field: str = "model") -> ScoringModel:
        """Return the model of a name or alias; the default model for an empty name.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name, or that the model is disabled.
        """
        if self.composed and (found := self.composed.get(self.router.name_of(name))) is not None:
            if found.is_disabled:
                raise _disabled(found, field)
            return found
        return GroupModel(self.router.resolve(name, field), self.cache)

    def group(self, name: str, field: str = "model") -> ModelGroup:
        """Return the deployments of a model that is not composed of others, such as a chat model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        return self.router.resolve(name, field)

    def candidates(self, name: str, fallbacks: Sequence[str]) -> Sequence[ScoringModel]:
        """Return the models to try, in order, without duplicates: requested, requested fallbacks, configured fallbacks.

        Configured fallbacks that nothing serves now, such as a model its server does not list yet or a disabled
        reranker, are skipped. A model whose provider is not configured fails in its turn, so that the next one is
        tried; its name must be right.

        Args:
            name: Requested model; empty for the default model.
            fallbacks: Requested fallbacks.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` for a requested name that no provider could serve, or if no provider of the
                requested names is configured.
        """
        if not fallbacks:
            first = self.resolve(name)
            more: list[ScoringModel] = []
        else:
            first, *more = self._requested([name, *fallbacks])
        if first.fallbacks:
            more += [found for each in first.fallbacks if (found := self._served(each)) is not None]
        return [first] if not more else list({model.name: model for model in (first, *more)}.values())

    def reachable(self, names: Iterable[str]) -> Iterator[Deployment]:
        """Yield the deployments that a call to these models may use: of members and configured fallbacks too."""
        seen: set[str] = set()
        waiting = [self.router.name_of(name) for name in names]
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            if (composed := self.composed.get(name)) is not None:
                following: Sequence[str] = (*composed.describe().members, *composed.fallbacks)
            elif (group := self.router.find(name)) is not None:
                yield from group.deployments
                following = group.options.fallbacks
            else:
                continue
            waiting += map(self.router.name_of, following)

    def _served(self, name: str) -> ScoringModel | None:
        """Return the model of a configured name; `None` if nothing serves it now."""
        if (composed := self.composed.get(self.router.name_of(name))) is not None:
            return None if composed.is_disabled else composed
        group = self.router.find(name)
        return None if group is None else GroupModel(group, self.cache)

    def quote(self, request: RerankRequest, needed: Needed) -> Quote:
        """Return the model of a request, and its use by the costliest of it and its fallbacks.

        Args:
            request: Any request; nothing of it needs to be valid.
            needed: Which use is wanted.
        """
        found = None if request.fallbacks or self.composed else self.router.described(request.model)
        if found is not None and not found[0].options.fallbacks:
            group, info = found
            return _quote(group.name, info.price, request, needed)
        try:
            models = self.candidates(request.model, request.fallbacks)
        except ServiceError:
            return Quote(request.model, NOTHING if needed else None)
        if not needed:
            return Quote(models[0].name, None)
        if needed is Needed.MONEY and all(
            isinstance(each, GroupModel) and _price_of(each.group) is None for each in models
        ):
            return Quote(models[0].name, NOTHING)
        if len(models) == 1 and isinstance(only := models[0], GroupModel):
            return _quote(only.name, _price_of(only.group), request, needed)
        texts = texts_of(request)
        estimates = [self._estimate(model.name, request.query, texts) for model in models]
        tokens, usd = max(each.tokens for each in estimates), max(each.usd for each in estimates)
        return Quote(models[0].name, Estimate(tokens, usd))

    def _estimate(self, name: str, query: str, texts: Sequence[str]) -> Estimate:
        """Estimate what a model will use; a reranker, what all its members will if each reads all documents."""
        name = self.router.name_of(name)
        if (composed := self.composed.get(name)) is not None:
            parts = [self._estimate(member, query, texts) for member in composed.describe().members]
            return Estimate(sum(part.tokens for part in parts), sum(part.usd for part in parts))
        group = self.router.find(name)
        return estimate(query, texts, None if group is None else _price_of(group))

    def _requested(self, names: Sequence[str]) -> list[ScoringModel]:
        """Return the model and the fallbacks that a request names, n >= 2."""
        models: list[ScoringModel] = []
        for position, name in enumerate(names):
            try:
                models.append(self.resolve(name, f"fallbacks[{position - 1}]" if position else "model"))
            except ProviderNotConfiguredError as error:
                models.append(_UnconfiguredModel(self.router.name_of(name), error))
        if isinstance(first := models[0], _UnconfiguredModel) and all(type(each) is type(first) for each in models):
            raise first.error
        return models


def _quote(name: str, price: Price | None, request: RerankRequest, needed: Needed) -> Quote:
    """Return what a request uses of a model without fallbacks."""
    if not needed:
        return Quote(name, None)
    if price is None and needed is Needed.MONEY:
        return Quote(name, NOTHING)
    return Quote(name, estimate(request.query, texts_of(request), price))


def _price_of(group: ModelGroup) -> Price | None:
    info = group.describe()
    return None if info is None else info.price


def _disabled(model: ComposedModel, field: str) -> ServiceError:
    name = model.name
    where = "its status" if model.is_stored else f"rerankers.{name}.status in the server's settings"
    message = f"{name} is disabled: {where} says so"
    return ServiceError(
        Reason.MODEL_NOT_FOUND, message, metadata={"model": name}, violations=[FieldViolation(field, message)]
    )
