"""From settings to services that can be called: the one place that puts models, cache, engine and wrappers together.

The server and the SDK open their engines here, so that a model answers the same whichever way it is reached.
"""

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
    """The services and everything behind them. For one event loop; whoever opened it closes it.

    Construction is cheap: nothing is loaded and no connection is made yet. Embedded models and cache last as long as
    the host; router, deployments and transport are replaced with new settings, see `EngineVersions`.

    Args:
        settings: All settings; those of the listeners are not read.
        environ: Where keys and addresses of providers are looked up; default: the process's environment.
        recorder: Takes the records of calls; default: one without sinks.

    Raises:
        ProviderSettingsError: A provider or the transport of the settings cannot be used; the message names the key.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str] | None = None, recorder: Recorder | None = None
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._recorder = recorder or Recorder()
        self.local = LocalProvider(settings.local)
        """The embedded models."""
        self.cache = open_pair_scores(settings.cache) if settings.cache.enabled else None
        """Known scores; `None` where none are kept."""
        self._refresher = Refresher()
        self.versions = EngineVersions(self._open_version(settings, None))
        recorded = RecordedService(self.versions, self._recorder)
        self.services = Services(
            rerank_service=recorded,
            rerank_service_streams=BatchService(recorded, lambda: self.settings.limits.batch_concurrency),
        )
        """What transports and callers in this process call."""

    @property
    def settings(self) -> Settings:
        """Those that the next call is answered with."""
        return self.versions.current.settings

    async def start_cache(self) -> None:
        """Connect the cache to what it shares scores with, where there is such."""
        if self.cache is not None:
            await self.cache.start()

    def refresh(self) -> None:
        """Ask, again and again, the servers that tell their models and limits."""
        self._refresher.watch(self.versions.current.deployments)

    def replace(self, settings: Settings) -> None:
        """Answer further calls with new settings; calls under way end with those they began with.

        Raises:
            ProviderSettingsError: They cannot be used; nothing has changed.
        """
        self.versions.replace(self._open_version(settings, self.versions.current))
        self.refresh()

    def open_variant(self, name: str, options: ProviderSettings) -> tuple[RerankService, ModelProvider]:
        """Compose a service in which the provider `name` is reached as `options` say, and all others as ever.

        It has no aliases: what it is asked for is `name/model`. Limits on calls under way are its own.

        Returns:
            The service, and the provider, which the caller closes.

        Raises:
            ProviderSettingsError: The provider cannot be used so; the message names what is missing.
        """
        current = self.versions.current
        provider = open_provider(name, options, self._environ, current.transport)
        others = [other for other in (self.local, *current.deployments) if other.name != name]
        bare = msgspec.structs.replace(self.settings, aliases={}, models={})
        engine = _compose_engine(bare, [provider, *others], None)
        return RecordedService(engine, self._recorder), provider

    async def close(self) -> None:
        """Stop the embedded models and drop all connections; calls under way fail."""
        await self._refresher.close()
        await self.local.close()
        await self.versions.close()
        if self.cache is not None:
            await self.cache.close()

    def _open_version(self, settings: Settings, previous: EngineVersion | None) -> EngineVersion:
        """Build what answers calls; connections to providers whose settings are as before are kept."""
        is_kept = previous is not None and previous.settings.transport == settings.transport
        transport = previous.transport if previous and is_kept else open_configured_transport(settings.transport)
        deployments = self._open_deployments(settings, transport, previous if is_kept else None)
        engine = _compose_engine(settings, [self.local, *deployments], self.cache)
        return EngineVersion(settings, engine, transport, deployments)

    def _open_deployments(
        self, settings: Settings, transport: HttpTransport, previous: EngineVersion | None
    ) -> Sequence[ModelProvider]:
        """Open the providers, but for those that `previous` opened from the same settings over the same transport."""
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
