"""Deployments, groups and engines of scripted providers, with clocks and sleeps a test drives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rerankd.cache.memory import ScoreMemory
from rerankd.cache.pair_scores import PairScores
from rerankd.contract.service import RerankService, Services
from rerankd.engine.batch import BatchService
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import CircuitBreakerSettings, DeploymentSettings, ModelSettings
from rerankd.strategies.composition import compose_models
from rerankd.strategies.settings import AnyReranker
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.providers import Answer, ScriptedProvider


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.now_s += seconds


def failing(kind: AdapterErrorKind = AdapterErrorKind.UNAVAILABLE, message: str = "down", **facts: Any) -> Answer:
    """Make an answer that is a failure."""

    async def fail(_call: ProviderCall) -> ProviderReply:
        raise AdapterError(kind, message, **facts)

    return fail


async def hanging(_call: ProviderCall) -> ProviderReply:
    """Never answer."""
    return await asyncio.Event().wait()  # type: ignore[return-value]  # never


def in_turn(*answers: Answer) -> Answer:
    """Make an answer that is each of these in turn, then the last one for good."""
    left = list(answers)

    async def answer(call: ProviderCall) -> ProviderReply:
        return await (left.pop(0) if len(left) > 1 else left[0])(call)

    return answer


def cools(each: Deployment) -> bool:
    """Whether the circuit breaker of a deployment is open now."""
    return each.breaker.is_open


def is_quiet(each: Deployment) -> bool:
    """Whether a deployment has calls in flight and answers none now."""
    return each.is_quiet


def is_tripped(each: Deployment) -> bool:
    """Whether the next call to a deployment probes it."""
    return each.breaker.is_tripped


def deployment(
    provider: ScriptedProvider | None = None, clock: Callable[[], float] | None = None, **options: Any
) -> Deployment:
    """Make one deployment; `is_alone` and `cooldown` beside the options of the settings."""
    is_alone = options.pop("is_alone", False)
    cooldown = options.pop("cooldown", CircuitBreakerSettings())
    provider = provider or ScriptedProvider()
    given = DeploymentSettings(model=f"{provider.name}/model", **options)
    made = Deployment(provider, "model", given, cooldown, clock=clock or Clock())
    if not is_alone:
        made.peers = [deployment(is_alone=True)]
    return made


def group(providers: Sequence[ScriptedProvider], clock: Callable[[], float] | None = None, **policy: Any) -> ModelGroup:
    """Make a model, `search`, that every provider serves with its `model`; `policy` as in the settings."""
    options = msgspec.convert(policy, ModelSettings)
    deployments = [deployment(provider, clock, cooldown=options.cooldown) for provider in providers]
    return ModelGroup("search", deployments, options, clock or time.monotonic)


def engine(
    providers: Sequence[ScriptedProvider],
    models: dict[str, Any] | None = None,
    *,
    is_cached: bool = False,
    aliases: dict[str, str] | None = None,
    rerankers: dict[str, Any] | None = None,
    **limits: int,
) -> Engine:
    """Make an engine whose default model is the first provider's first; `models`, `rerankers` as in the settings."""
    strategies = msgspec.convert(rerankers or {}, dict[str, AnyReranker])
    router = Router(
        providers,
        default_model=f"{providers[0].name}/{providers[0].models()[0].name}",
        aliases=aliases,
        models=msgspec.convert(models or {}, dict[str, ModelSettings]),
        composed=strategies,
    )
    cache = PairScores(ScoreMemory(1 << 24, 3600.0)) if is_cached else None
    bounds = RequestLimits(**limits)
    return Engine(router, bounds, models=compose_models(strategies, router, cache, bounds))


def services_of(service: RerankService, concurrency: int = 16, recorder: Recorder | None = None) -> Services:
    """Return what transports serve over one engine, recorded as the service records its calls."""
    recorded = RecordedService(service, recorder or Recorder())
    return Services(recorded, BatchService(recorded, lambda: concurrency))


def deployments_of(opened: Engine, model: str) -> Sequence[Deployment]:
    """Return what serves a model of an engine."""
    return opened._router.resolve(model).deployments
