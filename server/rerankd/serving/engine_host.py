"""Composition root: builds models, cache, engine and wrappers from the settings, for server and SDK alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from rerankd.cache.opening import open_pair_scores
from rerankd.cache.pair_scores import PairScores
from rerankd.contract.service import RerankService, Services
from rerankd.engine.batch import BatchService
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.http.transport import HttpTransport
from rerankd.local.provider import LocalProvider
from rerankd.providers.factory import (
    ProviderSettingsError,
    open_configured_transport,
    open_provider,
    open_providers,
)
from rerankd.providers.refresh import Refresher
from rerankd.providers.settings import ProviderSettings
from rerankd.serving.engine_versions import EngineVersion, EngineVersions
from rerankd.settings import Settings
from rerankd.telemetry.recorder import Recorder
from rerankd.telemetry.recording import RecordedService
from rerankd_adapters.base import ModelProvider


class EngineHost:
    """The services and everything they use. For one event loop; its creator closes it.

    Construction loads no model and opens no connection. Embedded models and cache live as long as the host; router,
    deployments and transport are replaced on reload, see `EngineVersions`.

    Args:
        settings: All settings; those of the listeners are not used.
        environ: Environment variables with keys and addresses of providers; default: the process's.
        recorder: Takes the records of calls; default: one without sinks.

    Raises:
        ProviderSettingsError: A provider or the transport cannot be used; the message names the settings key.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str] | None = None, recorder: Recorder | None = None
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._recorder = recorder or Recorder()
        self.local = LocalProvider(settings.local)
        """The embedded models."""
        self.cache = open_pair_scores(settings.cache) if settings.cache.enabled else None
        """Pair-score cache; `None` if it is disabled."""
        self._refresher = Refresher()
        self.versions = EngineVersions(self._open_version(settings, None))
        recorded = RecordedService(self.versions, self._recorder)
        self.services = Services(
            rerank_service=recorded,
            rerank_service_streams=BatchService(recorded, lambda: self.settings.limits.batch_concurrency),
        )
        """The services as transports and the SDK call them."""

    @property
    def settings(self) -> Settings:
        """Settings of the current engine version."""
        return self.versions.current.settings

    async def start_cache(self) -> None:
        """Connect the cache to its shared tier, if it has one."""
        if self.cache is not None:
            await self.cache.start()

    def refresh(self) -> None:
        """Start refreshing models and limits of the servers that report them, periodically."""
        self._refresher.watch(self.versions.current.deployments)

    def replace(self, settings: Settings) -> None:
        """Use new settings for new calls; calls in flight finish with their engine version.

        Raises:
            ProviderSettingsError: The settings cannot be used; nothing has changed.
        """
        self.versions.replace(self._open_version(settings, self.versions.current))
        self.refresh()

    def open_variant(self, name: str, options: ProviderSettings) -> tuple[RerankService, ModelProvider]:
        """Build a service in which the provider `name` has other settings; all other providers are shared.

        It has no aliases: models are named `name/model`. It has its own limits of calls in flight.

        Returns:
            The service, and the provider, which the caller closes.

        Raises:
            ProviderSettingsError: The provider cannot be used; the message names what is missing.
        """
        current = self.versions.current
        provider = open_provider(name, options, self._environ, current.transport)
        others = [other for other in (self.local, *current.deployments) if other.name != name]
        bare = msgspec.structs.replace(self.settings, aliases={}, models={})
        engine = _compose_engine(bare, [provider, *others], None)
        return RecordedService(engine, self._recorder), provider

    async def close(self) -> None:
        """Stop the embedded models and close all connections; calls in flight fail."""
        await self._refresher.close()
        await self.local.close()
        await self.versions.close()
        if self.cache is not None:
            await self.cache.close()

    def _open_version(self, settings: Settings, previous: EngineVersion | None) -> EngineVersion:
        """Build an engine version; providers with unchanged settings are taken from `previous`."""
        is_kept = previous is not None and previous.settings.transport == settings.transport
        transport = previous.transport if previous and is_kept else open_configured_transport(settings.transport)
        deployments = self._open_deployments(settings, transport, previous if is_kept else None)
        engine = _compose_engine(settings, [self.local, *deployments], self.cache)
        return EngineVersion(settings, engine, transport, deployments)

    def _open_deployments(
        self, settings: Settings, transport: HttpTransport, previous: EngineVersion | None
    ) -> Sequence[ModelProvider]:
        """Open the providers, except those of `previous` with unchanged settings, which are reused."""
        if previous is not None and previous.settings.providers == settings.providers:
            return previous.deployments
        kept = {
            deployment.name: deployment
            for deployment in (previous.deployments if previous else ())
            if previous and settings.providers.get(deployment.name) == previous.settings.providers.get(deployment.name)
        }
        wanted = {name: options for name, options in settings.providers.items() if name not in kept}
        return [*kept.values(), *open_providers(wanted, self._environ, transport, taken=kept.keys())]


def _compose_engine(settings: Settings, providers: Sequence[ModelProvider], cache: PairScores | None) -> Engine:
    """Build an engine of open providers; it holds nothing that must be closed.

    Raises:
        ProviderSettingsError: A model of the settings cannot be served; the message names the settings key.
    """
    try:
        router = Router(
            providers, default_model=settings.default_model, aliases=settings.aliases, models=settings.models
        )
    except RouterSettingsError as error:
        raise ProviderSettingsError(str(error)) from None
    return Engine(router, settings.limits, cache)
