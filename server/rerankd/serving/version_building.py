"""Builds engine versions: the engine of one state of the settings, with everything that a new state replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from rerankd.access.guardrails.inspection import Guardrails
from rerankd.cache.pair_scores import PairScores
from rerankd.engine.models import Models
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.http.transport import HttpTransport
from rerankd.providers.factory import (
    ProviderSettingsError,
    open_configured_transport,
    open_provider,
    open_providers,
)
from rerankd.providers.settings import ProviderSettings
from rerankd.providers.tls import tls_warnings
from rerankd.registry.loading import LoadedRerankers
from rerankd.serving.engine_versions import EngineVersion
from rerankd.settings import Settings
from rerankd.strategies.composition import Composed, RerankersError, compose_all, compose_models
from rerankd.telemetry.deployment_events import model_known
from rerankd_adapters.base import ModelProvider

_log = structlog.get_logger("rerankd.providers")


class VersionBuilder:
    """Builds engine versions around what outlives them. For one event loop.

    Args:
        local: The embedded models.
        cache: Pair-score cache; `None` if it is disabled.
        environ: Variables with keys and addresses of providers.
    """

    def __init__(self, local: ModelProvider, cache: PairScores | None, environ: Mapping[str, str]) -> None:
        self._local = local
        self._cache = cache
        self._environ = environ

    def open(self, settings: Settings, stored: LoadedRerankers, previous: EngineVersion | None = None) -> EngineVersion:
        """Build a version; connections and providers with unchanged settings are taken from `previous`.

        Raises:
            ProviderSettingsError: The settings cannot be used; the message names the settings key.
        """
        is_kept = previous is not None and previous.settings.transport == settings.transport
        transport = previous.transport if previous and is_kept else open_configured_transport(settings.transport)
        deployments = self._open_deployments(settings, transport, previous if is_kept else None)
        engine = _compose_engine(settings, [self._local, *deployments], self._cache, transport)
        return with_stored(EngineVersion(settings, engine, transport, deployments), stored)

    def open_variant(
        self, current: EngineVersion, name: str, options: ProviderSettings
    ) -> tuple[Engine, ModelProvider]:
        """Build an engine without names, in which the provider `name` has other settings; all others are shared.

        Returns:
            The engine, and the provider, which the caller closes.

        Raises:
            ProviderSettingsError: The provider cannot be used; the message names what is missing.
        """
        provider = open_provider(name, options, self._environ, current.transport)
        others = [other for other in (self._local, *current.deployments) if other.name != name]
        bare = msgspec.structs.replace(current.settings, aliases={}, models={}, rerankers={})
        return _compose_engine(bare, [provider, *others], None, current.transport), provider

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


def with_stored(version: EngineVersion, stored: LoadedRerankers) -> EngineVersion:
    """Return a version that serves the stored rerankers too, and shares everything else with the given one."""
    if version.stored is stored:
        return version
    composed = compose(version.settings, stored, version.engine.models)
    for key in stored.settings:
        model_known(key, ())
    return EngineVersion(
        version.settings,
        version.engine.with_models(composed.models),
        version.transport,
        version.deployments,
        stored,
        composed.problems,
    )


def compose(settings: Settings, stored: LoadedRerankers, models: Models, *, checks_names: bool = False) -> Composed:
    """Build the models of an engine anew, with stored rerankers.

    Args:
        settings: With the rerankers of the settings.
        stored: All stored ones.
        models: Of the engine.
        checks_names: Whether models must be served now, by servers that tell which ones they serve.
    """
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
