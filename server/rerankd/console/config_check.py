"""Finds every problem of a settings file in one go: of its shape, its values, and what these refer to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.http.transport import HttpTransport
from rerankd.local.provider import LocalProvider
from rerankd.providers.environment import providers_from_environment
from rerankd.providers.factory import (
    ProviderSettingsError,
    open_configured_transport,
    open_provider,
    provider_problems,
)
from rerankd.serving.listening import exposure_problem, resolve
from rerankd.settings import Settings, SettingsError, load_settings
from rerankd.strategies.composition import RerankersError, compose_models
from rerankd_adapters.base import Capabilities, ModelInfo, ModelProvider, ProviderCall, ProviderReply
from rerankd_adapters.chat.adapter import ChatCall, ChatReply

_PATH: Final = re.compile(r"[^\s:]*")


async def find_problems(config: Path, environ: Mapping[str, str]) -> list[str]:
    """Return all problems of a settings file, one sentence each, starting with the key path.

    Parts that are invalid by themselves are left aside in the checks of what refers to them.

    Args:
        config: YAML file.
        environ: Environment variables with keys and addresses of providers.
    """
    problems: list[str] = []
    unusable: Collection[str] = ()
    try:
        settings = load_settings(config)
    except SettingsError as error:
        problems += error.problems
        if error.usable_settings is None:
            return problems
        settings, unusable = error.usable_settings, error.unusable_rerankers
    found = [*_listening_problems(settings), *await _serving_problems(settings, environ, unusable)]
    known = {_path_of(problem) for problem in problems}
    return problems + [problem for problem in found if _path_of(problem) not in known]


def _path_of(problem: str) -> str:
    found = _PATH.match(problem)
    return found[0] if found else ""


def _listening_problems(settings: Settings) -> list[str]:
    if settings.access.enabled:
        return []
    try:
        problem = exposure_problem(settings.server, resolve(settings.server.host))
    except OSError:  # a name that only the machine of the service may know
        return []
    return [] if problem is None else [problem]


async def _serving_problems(settings: Settings, environ: Mapping[str, str], unusable: Collection[str]) -> list[str]:
    """Return the problems of transport, providers, models, aliases and rerankers."""
    problems: list[str] = []
    async with AsyncExitStack() as opened:
        try:
            transport = open_configured_transport(settings.transport)
        except ProviderSettingsError as error:
            problems.append(str(error))
            transport = open_configured_transport(Settings().transport)
        opened.push_async_callback(transport.close)
        problems += await provider_problems(settings.providers, environ, transport)
        providers: list[ModelProvider] = [LocalProvider(settings.local), *_open_all(settings, environ, transport)]
        for provider in providers:
            opened.push_async_callback(provider.close)
        return problems + _model_problems(settings, providers, unusable)


def _open_all(settings: Settings, environ: Mapping[str, str], transport: HttpTransport) -> list[ModelProvider]:
    """Open the providers of settings and environment; one that cannot be opened has any model."""
    providers: list[ModelProvider] = []
    for name, options in settings.providers.items():
        try:
            providers.append(open_provider(name, options, environ, transport))
        except ProviderSettingsError:
            providers.append(_FaultyProvider(name))
    configured = {provider.name for provider in providers}
    more = [each for each in providers_from_environment(environ, transport) if each.name not in configured]
    return [*providers, *more]


def _model_problems(settings: Settings, providers: Sequence[ModelProvider], unusable: Collection[str]) -> list[str]:
    problems: list[str] = []
    try:
        router = Router(
            providers,
            default_model=settings.default_model,
            aliases=settings.aliases,
            models=settings.models,
            composed=(*settings.rerankers, *unusable),
            checks_names=True,
        )
    except RouterSettingsError as error:
        problems += error.problems
        router = error.router
    try:
        compose_models(settings.rerankers, router, None, settings.limits, unusable=unusable)
    except RerankersError as error:
        problems += error.problems
    return problems


class _FaultyProvider:
    """A provider whose settings are reported already, so that its models are not.

    Satisfies `ModelProvider` and `ChatProvider`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def models(self) -> Sequence[ModelInfo]:
        """List nothing."""
        return []

    def describe(self, model: str) -> ModelInfo | None:
        """Describe any model."""
        return ModelInfo(model, Capabilities())

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Refuse; a provider of this kind is never served."""
        raise ProviderSettingsError(f"providers.{self.name} cannot be used for {call.model}")

    def chat_problem(self, model: str) -> str:  # noqa: ARG002 - see `ChatProvider`
        """Let any model chat."""
        return ""

    async def chat(self, call: ChatCall) -> ChatReply:
        """Refuse, as `rerank`."""
        raise ProviderSettingsError(f"providers.{self.name} cannot be used for {call.model}")

    async def close(self) -> None:
        """Close nothing."""
