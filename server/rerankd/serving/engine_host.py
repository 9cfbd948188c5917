"""Composition root: builds models, cache, engine and wrappers from the settings, for server and SDK alike."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from rerankd.access.limiter import Limiter
from rerankd.access.opening import CLOSED, Access, gate_of
from rerankd.access.spend.spend_sink import SpendSink
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.cache.opening import open_pair_scores
from rerankd.contract.gate import not_opened
from rerankd.contract.service import (
    GatedEvaluationService,
    GatedRerankerService,
    RerankService,
    RerankServiceStreams,
    Services,
)
from rerankd.engine.batch import BatchService
from rerankd.evaluation.evaluation_service import StoredEvaluation
from rerankd.evaluation.evaluation_store import EvaluationStore
from rerankd.local.provider import LocalProvider
from rerankd.providers.refresh import Refresher
from rerankd.providers.settings import ProviderSettings
from rerankd.registry.loading import LoadedRerankers
from rerankd.registry.opening import Registry
from rerankd.runs.stored_runs import StoredRuns
from rerankd.serving.engine_versions import EngineVersions
from rerankd.serving.version_building import VersionBuilder, compose, with_stored
from rerankd.settings import Settings
from rerankd.store.opening import LazyDatabase
from rerankd.strategies.settings import AnyReranker
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import ModelProvider


class EngineHost:
    """The services and everything they use. For one event loop; its creator closes it.

    Construction loads no model and opens no connection. Embedded models and cache live as long as the host; router,
    deployments and transport are replaced on reload, see `EngineVersions`.

    Args:
        settings: All settings; those of the listeners are not used.
        environ: Environment variables with keys and addresses of providers; default: the process's.
        recorder: Takes the records of calls; default: one without sinks.
        access: Admits callers; its creator starts and closes it. Default: everybody may call.
        database: The store with stored rerankers, judgements and experiments; its creator closes it. Default: none are
            served.

    Raises:
        ProviderSettingsError: A provider or the transport cannot be used; the message names the settings key.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] | None = None,
        recorder: Recorder | None = None,
        access: Access | None = None,
        database: LazyDatabase | None = None,
    ) -> None:
        self._recorder = recorder or Recorder()
        self.local = LocalProvider(settings.local)
        """The embedded models."""
        self.cache = open_pair_scores(settings.cache) if settings.cache.enabled else None
        """Pair-score cache; `None` if it is disabled."""
        self._refresher = Refresher()
        self._stored = LoadedRerankers()
        self._builder = VersionBuilder(self.local, self.cache, os.environ if environ is None else environ)
        self.versions = EngineVersions(self._builder.open(settings, self._stored))
        self._limiter = Limiter(
            settings.access, settings.store.state_directory(), lambda: self.versions.current.engine.deployments()
        )
        self._recorder.add(self._limiter.sink)
        store = LazyDatabase(settings.store) if database is None else database
        self._own_database = store if database is None else None
        self._stored_spend = StoredSpend(store)
        self._spend = SpendSink(settings.access.spend, self._stored_spend) if settings.access.keeps_spend else None
        if self._spend is not None:
            self._recorder.add(self._spend)
        self._registry = None if database is None else Registry(lambda: self.settings.registry, database, self)
        if self._registry is not None:
            self._recorder.add(self._registry.sink)
        service: RerankService = self._limiter.wrap(self.versions, self.versions)
        if access is not None:
            service = access.wrap(service, lambda: self.settings.default_model)
        recorded = RecordedService(service, self._recorder)
        self._runs = StoredRuns(store)
        self._evaluation = (
            None
            if database is None
            else StoredEvaluation(EvaluationStore(database), self._runs, recorded, settings.evaluation)
        )
        streams: RerankServiceStreams = BatchService(recorded, lambda: self.settings.limits.batch_concurrency)
        self.services = Services(
            rerank_service=recorded,
            rerank_service_streams=streams if access is None else access.wrap_streams(streams),
            access_service=CLOSED if access is None else access.key_service(self._stored_spend),
            evaluation_service=GatedEvaluationService(
                not_opened if self._evaluation is None else gate_of(access, self._evaluation)
            ),
            reranker_service=GatedRerankerService(
                not_opened if self._registry is None else gate_of(access, self._registry.service(recorded, self._runs))
            ),
        )
        """The services as transports and the SDK call them."""

    @property
    def settings(self) -> Settings:
        """Settings of the current engine version."""
        return self.versions.current.settings

    async def start(self) -> None:
        """Connect the cache to its shared tier, open ledger, spend and stored rerankers, as the settings ask for."""
        if self._registry is not None:
            await self._registry.start()
        await self._limiter.start()
        if self._evaluation is not None:
            self._evaluation.start()
        if self._spend is not None:
            self._spend.start()
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
        self.versions.replace(self._builder.open(settings, self._stored, self.versions.current))
        self._limiter.use(settings.access)
        self.refresh()

    def use_stored(self, stored: LoadedRerankers) -> None:
        """Serve these stored rerankers to new calls; calls in flight finish with those they began with."""
        self._stored = stored
        self.versions.replace(with_stored(self.versions.current, stored))

    @property
    def declared(self) -> Mapping[str, AnyReranker]:
        """Rerankers of the settings."""
        return self.settings.rerankers

    @property
    def taken_names(self) -> Collection[str]:
        """Names of models, aliases and rerankers of the settings."""
        settings = self.settings
        return {*settings.models, *settings.aliases, *settings.rerankers}

    @property
    def default_model(self) -> str:
        """Name behind the default model's aliases."""
        return self.versions.current.engine.models.router.name_of("")

    @property
    def served(self) -> Collection[str]:
        """Keys of the rerankers that calls may name now."""
        return self.versions.current.engine.models.composed.keys()

    def strategy_of(self, key: str) -> str | None:
        """Return the strategy of a reranker that calls may name now; None where there is none of this key."""
        found = self.versions.current.engine.models.composed.get(key)
        return None if found is None or found.identity is None else found.identity.strategy

    @property
    def problems(self) -> Mapping[str, Sequence[str]]:
        """Why stored rerankers cannot be served now, by key."""
        return self.versions.current.problems

    def problems_of(self, stored: LoadedRerankers, *, checks_names: bool = True) -> Mapping[str, Sequence[str]]:
        """Return why stored rerankers could not be served if these were all, by key.

        Args:
            stored: All of them.
            checks_names: Whether models must be served now, by servers that tell which ones they serve.
        """
        current = self.versions.current
        return compose(current.settings, stored, current.engine.models, checks_names=checks_names).problems

    def reranker_of(self, name: str) -> str:
        """Return the key of the reranker that a requested model name leads to; empty for another model."""
        models = self.versions.current.engine.models
        found = models.composed.get(models.router.name_of(name))
        return "" if found is None else found.name

    def open_variant(self, name: str, options: ProviderSettings) -> tuple[RerankService, ModelProvider]:
        """Build a service in which the provider `name` has other settings; all other providers are shared.

        It has no aliases: models are named `name/model`. It has its own limits of calls in flight.

        Returns:
            The service, and the provider, which the caller closes.

        Raises:
            ProviderSettingsError: The provider cannot be used; the message names what is missing.
        """
        engine, provider = self._builder.open_variant(self.versions.current, name, options)
        return RecordedService(engine, self._recorder), provider

    async def close(self) -> None:
        """Stop the embedded models and close all connections; calls in flight fail."""
        if self._evaluation is not None:
            await self._evaluation.close()
        await self._refresher.close()
        await self.local.close()
        await self.versions.close()
        await self._limiter.close()
        self._recorder.flush()
        if self._registry is not None:
            await self._registry.close()
        if self._spend is not None:
            await self._spend.close()
        if self._own_database is not None:
            await self._own_database.close()
        if self.cache is not None:
            await self.cache.close()
