"""Builds the rerankers of one version of the settings, and checks what they refer to.

All rerankers share one `Models`, by which their members are resolved for each call, so that rerankers may name each
other in any order. A reranker that asks itself, by whatever aliases, members and fallbacks, is refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from rerankd.cache.pair_scores import PairScores
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.ranking import Normalisation
from rerankd.engine.routing.router import Router
from rerankd.strategies.parts import Parts
from rerankd.strategies.registry import STRATEGIES
from rerankd.strategies.reranker import RerankerModel
from rerankd.strategies.settings import AnyReranker
from rerankd.strategies.unservable import UnservableReranker
from rerankd.telemetry.deployment_events import model_known
from rerankd_adapters.base import ScoreSpace


class RerankersError(Exception):
    """Rerankers of the settings cannot be served.

    Args:
        problems: n sentences, n >= 1, each with its settings key.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Composed(NamedTuple):
    """The models of one version of settings and stored rerankers."""

    models: Models
    problems: Mapping[str, Sequence[str]]
    """Why stored rerankers cannot be served, n >= 1 sentences each, by key."""


def compose_models(
    rerankers: Mapping[str, AnyReranker],
    router: Router,
    cache: PairScores | None,
    limits: RequestLimits,
    *,
    unusable: Collection[str] = (),
) -> Models:
    """Build the models of an engine: those of the router, and the rerankers over them.

    Args:
        rerankers: Settings of the rerankers by key.
        router: Resolves all other models.
        cache: Pair-score cache of these; `None` without one.
        limits: Bound depth and members of rerankers.
        unusable: Keys of rerankers whose settings are reported already, so that those that name them are not.

    Raises:
        RerankersError: With every problem found.
    """
    models = compose_all(rerankers, {}, router, cache, limits, unusable=unusable).models
    for key in rerankers:
        model_known(key, ())
    return models


def compose_all(
    rerankers: Mapping[str, AnyReranker],
    stored: Mapping[str, AnyReranker],
    router: Router,
    cache: PairScores | None,
    limits: RequestLimits,
    *,
    unusable: Collection[str] = (),
    faulty: Mapping[str, Sequence[str]] = MappingProxyType({}),
    versions: Mapping[str, int] = MappingProxyType({}),
) -> Composed:
    """Build the models of an engine, stored rerankers too.

    A stored reranker that cannot be served fails its calls, and no others. One whose name the settings have is left
    out.

    Args:
        rerankers: As of `compose_models`; they do not name stored ones.
        stored: Settings of stored rerankers by key.
        router: As of `compose_models`.
        cache: As of `compose_models`.
        limits: As of `compose_models`.
        unusable: As of `compose_models`.
        faulty: Problems of stored rerankers whose settings cannot be read, by key; not in `stored`.
        versions: Versions of stored rerankers by key, from 1.

    Raises:
        RerankersError: With every problem found of those that are not stored.
    """
    if not rerankers and not stored and not faulty:
        return Composed(Models(router, cache), {})
    composed: dict[str, RerankerModel | UnservableReranker] = {}
    composition = _Composition(Models(router, cache, composed), composed, limits, frozenset(unusable))
    for key, settings in rerankers.items():
        composition.add(key, settings)
    if problems := list(composition.problems()):
        raise RerankersError(problems)
    return Composed(composition.models, composition.add_stored(stored, faulty, versions))


@dataclass(slots=True)
class _Composition:
    """The rerankers of one version of the settings, while they are built."""

    models: Models
    composed: dict[str, RerankerModel | UnservableReranker]
    limits: RequestLimits
    unusable: frozenset[str]
    parts: dict[str, Parts] = field(default_factory=dict)

    def add(self, key: str, settings: AnyReranker, version: int = 0) -> None:
        """Build one reranker."""
        parts = self.parts[key] = Parts(f"rerankers.{key}.config", self.models)
        entry = STRATEGIES[type(settings)]
        strategy = entry.build(settings.config, parts)
        asked = [each.member for each in parts.members]
        members = dict.fromkeys(each.member.model for each in parts.members)
        self.composed[key] = RerankerModel(key, settings, entry.strategy, strategy, list(members), asked, version)

    def problems(self) -> Iterator[str]:
        """Yield everything that is wrong with names, cycles and sizes, and, without these, with what members are."""
        found: list[str] = []
        for key in self.parts:
            found += [*self._name_problems(key), *self._own_problems(key)]
        default = self._reranker("")
        if default is not None and default.is_disabled:
            found.append(f"default_model: reranker {default.name} is disabled")
        cycles = list(self._cycle_problems())
        found += cycles
        if not cycles:
            found += [problem for key in self.parts for problem in self._size_problems(key)]
        if not found:
            found += [problem for key in self.parts for problem in self._value_problems(key)]
        yield from found

    def add_stored(
        self, stored: Mapping[str, AnyReranker], faulty: Mapping[str, Sequence[str]], versions: Mapping[str, int]
    ) -> Mapping[str, Sequence[str]]:
        """Build stored rerankers; return the problems of those that cannot be served, by key."""
        found = {key: [*self._shadow_problems(key)] for key in (*stored, *faulty)}
        for key, problems in faulty.items():
            if not found[key]:
                self._refuse(key, problems, versions.get(key, 1))
                found[key] += problems
        added = [key for key in stored if not found[key]]
        for key in added:
            self.add(key, stored[key], versions.get(key, 1))
        for check in (self._own_problems, self._own_cycle, self._size_problems, self._value_problems):
            for key in added:
                if not found[key] and (problems := list(check(key))):
                    self._refuse(key, problems, versions.get(key, 1))
                    found[key] += problems
        return {key: problems for key, problems in found.items() if problems}

    def _refuse(self, key: str, problems: Sequence[str], version: int) -> None:
        self.composed[key] = UnservableReranker(key, problems, version)
        self.parts[key] = Parts("", self.models)

    def _shadow_problems(self, key: str) -> Iterator[str]:
        if key in self.parts:
            yield f"rerankers.{key}: the settings have a reranker of this name, which answers instead"
        yield from self._name_problems(key)

    def _own_problems(self, key: str) -> Iterator[str]:
        yield from self.parts[key].problems
        yield from self._reference_problems(key)

    def _value_problems(self, key: str) -> Iterator[str]:
        yield from self._score_problems(key)
        for check in self.parts[key].checks:
            if problem := check.problem():
                yield f"{check.key}: {problem}"

    def _name_problems(self, key: str) -> Iterator[str]:
        router = self.models.router
        if router.is_alias(key):
            yield f"rerankers.{key}: aliases.{key} has the same name; callers could not tell them apart"
        if router.is_in_settings(key):
            yield f"rerankers.{key}: models.{key} has the same name; callers could not tell them apart"

    def _reference_problems(self, key: str) -> Iterator[str]:
        reranker = self.composed[key]
        for where, member in self.parts[key].members:
            if problem := self._unknown(member.model):
                yield f"{where}: {problem}"
            elif (found := self._reranker(member.model)) and found.is_disabled and not reranker.is_disabled:
                yield f"{where}: reranker {found.name} is disabled; disable {key} too, or name another model"
        for index, name in enumerate(reranker.fallbacks):
            if problem := self._unknown(name):
                yield f"rerankers.{key}.config.fallbacks[{index}]: {problem}"

    def _unknown(self, name: str) -> str:
        router = self.models.router
        return "" if self._reranker(name) or router.name_of(name) in self.unusable else router.unservable(name)

    def _reranker(self, name: str) -> RerankerModel | UnservableReranker | None:
        return self.composed.get(self.models.router.name_of(name))

    def _asked(self, key: str) -> Iterator[str]:
        """Yield the models that a reranker may ask: its members and their fallbacks, by their own names."""
        name_of = self.models.router.name_of
        for each in self.composed[key].members:
            yield name_of(each)
            member = self._reranker(each)
            fallbacks = self.models.router.fallback_names(name_of(each)) if member is None else member.fallbacks
            yield from map(name_of, fallbacks)

    def _cycle_problems(self) -> Iterator[str]:
        reported: set[str] = set()
        for key in self.parts:
            path = None if key in reported else self._path_back(key)
            if path is not None:
                reported.update(path)
                yield _cycle_problem(path)

    def _own_cycle(self, key: str) -> Iterator[str]:
        if (path := self._path_back(key)) is not None:
            yield _cycle_problem(path)

    def _path_back(self, key: str) -> list[str] | None:
        """Return the shortest way by which a reranker asks itself; `None` if there is none."""
        ways = [[key]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            for name in self._asked(way[-1]):
                if name == key:
                    return [*way, name]
                if name in self.composed and name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
        return None

    def _size_problems(self, key: str) -> Iterator[str]:
        members, depth, calls = len(self.parts[key].members), self._depth(key), self._calls(key)
        limits = self.limits
        if members > limits.max_reranker_members:
            yield (
                f"rerankers.{key}.config names {members} models, more than limits.max_reranker_members,"
                f" {limits.max_reranker_members}"
            )
        if depth > limits.max_reranker_depth:
            yield (
                f"rerankers.{key}.config: rerankers within it are {depth} deep, more than limits.max_reranker_depth,"
                f" {limits.max_reranker_depth}"
            )
        if calls > limits.max_reranker_calls:
            yield (
                f"rerankers.{key}.config: one call asks {calls} models, with rerankers within it, more than"
                f" limits.max_reranker_calls, {limits.max_reranker_calls}"
            )

    def _depth(self, key: str) -> int:
        """Return how many rerankers are within one another, itself included."""
        return 1 + max((self._depth(name) for name in self._asked(key) if name in self.composed), default=0)

    def _calls(self, key: str) -> int:
        """Return how many models one call asks at most, without fallbacks."""
        found = 0
        for _, member in self.parts[key].members:
            inner = self._reranker(member.model)
            found += 1 if inner is None else self._calls(inner.name)
        return found

    def _score_problems(self, key: str) -> Iterator[str]:
        """Yield what has no meaning for the scores of a reranker, as far as they are known now."""
        reranker, path = self.composed[key], f"rerankers.{key}.config"
        if isinstance(reranker, UnservableReranker):
            return
        own = reranker.strategy.score_space
        if reranker.normalisation is Normalisation.SIGMOID and own not in (ScoreSpace.LOGIT, ScoreSpace.UNKNOWN):
            yield f"{path}.normalization: sigmoid turns logits into probabilities, and its scores are {own}"
        elif reranker.settings.config.score_threshold is not None and own is ScoreSpace.RELATIVE:
            yield (
                f"{path}.score_threshold: its scores are ranks, comparable within one response only, so a threshold"
                " has no meaning; leave it out, or choose a model whose scores compare"
            )


def _cycle_problem(path: Sequence[str]) -> str:
    return f"rerankers.{path[0]}.config: {' -> '.join(path)} is a cycle: a reranker cannot ask itself"
