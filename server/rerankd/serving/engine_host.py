"""Composition root: builds models, cache, engine and wrappers from the settings, for server and SDK alike."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import msgspec
import structlog

from rerankd.access.guardrails.inspection import Guardrails
from rerankd.access.limiter import Limiter
from rerankd.access.opening import CLOSED, Access, gate_of
from rerankd.access.spend.spend_sink import SpendSink
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.cache.opening import open_pair_scores
from rerankd.cache.pair_scores import PairScores
from rerankd.contract.gate import not_opened
from rerankd.contract.service import (
    GatedEvaluationService,
    GatedRerankerService,
    RerankService,
    RerankServiceStreams,
    Services,
)
from rerankd.engine.batch import BatchService
from rerankd.engine.models import Models
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.evaluation.evaluation_service import StoredEvaluation
from rerankd.evaluation.evaluation_store import EvaluationStore
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
from rerankd.providers.tls import tls_warnings
from rerankd.registry.loading import LoadedRerankers
from rerankd.registry.opening import Registry
from rerankd.runs.stored_runs import StoredRuns
from rerankd.serving.engine_versions import EngineVersion, EngineVersions
from rerankd.settings import Settings
from rerankd.store.opening import LazyDatabase
from rerankd.strategies.composition import Composed, RerankersError, compose_all, compose_models
from rerankd.strategies.settings import AnyReranker
from rerankd.telemetry.deployment_events import model_known
from rerankd.telemetry.recorder import Recorder
from rerankd.telemetry.recording import RecordedService
from rerankd_adapters.base import ModelProvider

_log = structlog.get_logger("rerankd.providers")


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
        self._environ = os.environ if environ is None else environ
        self._recorder = recorder or Recorder()
        self.local = LocalProvider(settings.local)
        """The embedded models."""
        self.cache = open_pair_scores(settings.cache) if settings.cache.enabled else None
        """Pair-score cache; `None` if it is disabled."""
        self._refresher = Refresher()
        self._stored = LoadedRerankers()
        self.versions = EngineVersions(self._open_version(settings, None))
        self._limiter = Limiter(
            settings.access, settings.store.state_directory(), lambda: self.versions.current.engine.deployments()
        )
        self._recorder.add(self._limiter.sink)
        self._stored_spend = StoredSpend(settings.store)
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
        self._runs = StoredRuns(settings.store)
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
        self.versions.replace(self._open_version(settings, self.versions.current))
        self._limiter.use(settings.access)
        self.refresh()

    def use_stored(self, stored: LoadedRerankers) -> None:
        """Serve these stored rerankers to new calls; calls in flight finish with those they began with."""
        self._stored = stored
        self.versions.replace(self._with_stored(self.versions.current))

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
        return _compose(current.settings, stored, current.engine.models, checks_names=checks_names).problems

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
        current = self.versions.current
        provider = open_provider(name, options, self._environ, current.transport)
        others = [other for other in (self.local, *current.deployments) if other.name != name]
        bare = msgspec.structs.replace(self.settings, aliases={}, models={}, rerankers={})
        engine = _compose_engine(bare, [provider, *others], None, current.transport)
        return RecordedService(engine, self._recorder), provider

    async def close(self) -> None:
        """Stop the embedded models and close all connections; calls in flight fail."""
        if self._evaluation is not None:
            await self._evaluation.close()
        await self._runs.close()
        await self._refresher.close()
        await self.local.close()
        await self.versions.close()
        await self._limiter.close()
        self._recorder.flush()
        if self._registry is not None:
            await self._registry.close()
        if self._spend is not None:
            await self._spend.close()
        await self._stored_spend.close()
        if self.cache is not None:
            await self.cache.close()

    def _open_version(self, settings: Settings, previous: EngineVersion | None) -> EngineVersion:
        """Build an engine version; providers with unchanged settings are taken from `previous`."""
        is_kept = previous is not None and previous.settings.transport == settings.transport
        transport = previous.transport if previous and is_kept else open_configured_transport(settings.transport)
        deployments = self._open_deployments(settings, transport, previous if is_kept else None)
        engine = _compose_engine(settings, [self.local, *deployments], self.cache, transport)
        return self._with_stored(EngineVersion(settings, engine, transport, deployments))

    def _with_stored(self, version: EngineVersion) -> EngineVersion:
        """Return a version that serves the stored rerankers too, and shares everything else with the given one."""
        if version.stored is self._stored:
            return version
        composed = _compose(version.settings, self._stored, version.engine.models)
        for key in self._stored.settings:
            model_known(key, ())
        return EngineVersion(
            version.settings,
            version.engine.with_models(composed.models),
            version.transport,
            version.deployments,
            self._stored,
            composed.problems,
        )

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
        for warning in tls_warnings(wanted):
            _log.warning(warning)
        return [*kept.values(), *open_providers(wanted, self._environ, transport, taken=kept.keys())]


def _compose_engine(
    settings: Settings, providers: Sequence[ModelProvider], cache: PairScores | None, transport: HttpTransport
) -> Engine:
    """Build an engine of open providers; it holds nothing that must be closed.

    Raises:
        ProviderSettingsError: A model or reranker of the settings cannot be served; the message names the settings key.
    """
    try:
        router = Router(
            providers,
            default_model=settings.default_model,
            aliases=settings.aliases,
            models=settings.models,
            composed=settings.rerankers,
        )
        models = compose_models(settings.rerankers, router, cache, settings.limits)
        guardrails = Guardrails(settings.access.guardrails, transport) if settings.access.guardrails else None
    except (RouterSettingsError, RerankersError, ValueError) as error:
        raise ProviderSettingsError(str(error)) from None
    return Engine(
        router,
        settings.limits,
        models=models,
        blank_documents=settings.blank_documents,
        inspect=guardrails.inspect if guardrails else None,
    )


def _compose(settings: Settings, stored: LoadedRerankers, models: Models, *, checks_names: bool = False) -> Composed:
    """Build the models of an engine anew, with stored rerankers."""
    router = models.router.with_composed((*settings.rerankers, *stored.versions), checks_names=checks_names)
    return compose_all(
        settings.rerankers,
        stored.settings,
        router,
        models.cache,
        settings.limits,
        faulty=stored.faulty,
        versions=stored.versions,
    )
