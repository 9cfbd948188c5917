"""From settings to an engine that can be called: the one place that puts providers, router and engine together.

The server and the SDK open their engines here, so that a model answers the same whichever way it is reached.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from rerankd.cache.opening import open_pair_scores
from rerankd.cache.pair_scores import PairScores
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.local.provider import LocalProvider
from rerankd.providers.opening import (
    ProviderSettingsError,
    open_configured_transport,
    open_provider,
    open_providers,
)
from rerankd.providers.settings import ProviderSettings
from rerankd.settings import Settings
from rerankd_adapters.base import ModelProvider


def compose_engine(settings: Settings, providers: Sequence[ModelProvider], cache: PairScores | None) -> Engine:
    """Make an engine of what is open already; cheap, and holds nothing that must be closed.

    Raises:
        ProviderSettingsError: A model of the settings cannot be served; the message names the key.
    """
    try:
        router = Router(
            providers, default_model=settings.default_model, aliases=settings.aliases, models=settings.models
        )
    except RouterSettingsError as error:
        raise ProviderSettingsError(str(error)) from None
    return Engine(router, settings.limits, cache)


def open_cache(settings: Settings) -> PairScores | None:
    """Open the cache of the settings, which whoever opened it starts and closes; `None` when it is off."""
    return open_pair_scores(settings.cache) if settings.cache.enabled else None


class OpenedEngine:
    """An engine and everything behind it. Belongs to one event loop; whoever opened it closes it.

    Made by `open_engine`.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        """What it was opened with."""
        self._environ = environ
        self._local = LocalProvider(settings.local)
        self._transport = open_configured_transport(settings.transport)
        self._remote = open_providers(settings.providers, environ, self._transport)
        self._cache = open_cache(settings)
        self.engine = compose_engine(settings, [self._local, *self._remote], self._cache)
        """Answers calls."""

    async def start(self) -> None:
        """Load the embedded models; what is large follows in the background.

        Never raises for a model that cannot be loaded: it is listed as unavailable.
        """
        if self._cache is not None:
            await self._cache.start()
        await self._local.start()

    async def wait_loaded(self) -> None:
        """Return when nothing is being loaded any more, or could not be."""
        await self._local.wait_loaded()

    def open_variant(self, name: str, options: ProviderSettings) -> tuple[Engine, ModelProvider]:
        """Compose an engine in which the provider `name` is reached as `options` say, and all others as ever.

        It has no aliases: what it is asked for is `name/model`. Limits on calls under way are its own.

        Returns:
            The engine, and the provider, which the caller closes.

        Raises:
            ProviderSettingsError: The provider cannot be used so; the message names what is missing.
        """
        provider = open_provider(name, options, self._environ, self._transport)
        others = [other for other in (self._local, *self._remote) if other.name != name]
        bare = msgspec.structs.replace(self.settings, aliases={}, models={})
        return compose_engine(bare, [provider, *others], None), provider

    async def close(self) -> None:
        """Stop the embedded models and drop all connections; calls under way fail."""
        await self._local.close()
        for provider in self._remote:
            await provider.close()
        await self._transport.close()
        if self._cache is not None:
            await self._cache.close()


def open_engine(settings: Settings, environ: Mapping[str, str] | None = None) -> OpenedEngine:
    """Open an engine in the running event loop. Cheap: nothing is loaded and no connection is made yet.

    Args:
        settings: All settings; those of the server itself are not read.
        environ: Where keys and addresses of providers are looked up; default: the process's environment.

    Raises:
        ProviderSettingsError: A provider of the settings cannot be used; the message names the key.
    """
    return OpenedEngine(settings, os.environ if environ is None else environ)
