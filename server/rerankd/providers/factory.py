"""Opens the remote providers of the settings and of the environment, and the HTTP transport they share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from rerankd.contract.suggestions import did_you_mean
from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd.providers.environment import (
    first_of,
    options_from_environment,
    providers_from_environment,
)
from rerankd.providers.http_provider import open_remote_provider
from rerankd.providers.prices import price_problems
from rerankd.providers.settings import ProviderSettings
from rerankd.providers.tls import tls_problems
from rerankd_adapters.base import AdapterError, Endpoint, ModelProvider, Provider
from rerankd_adapters.registry import broken_providers, find_provider, provider_names


class ProviderSettingsError(Exception):
    """A provider or transport setting cannot be used; the message names the key and what is missing."""


def open_providers(
    configured: Mapping[str, ProviderSettings],
    environ: Mapping[str, str],
    transport: HttpTransport,
    *,
    taken: Collection[str] = (),
) -> list[ModelProvider]:
    """Open every provider of the settings, then those configured by the environment alone.

    Args:
        configured: Provider settings by name.
        environ: Environment variables.
        transport: Shared by all providers.
        taken: Names that providers of the environment must not use.

    Raises:
        ProviderSettingsError: The first provider that cannot be used.
    """
    opened = [open_provider(name, options, environ, transport) for name, options in configured.items()]
    taken = {*taken, *(deployment.name for deployment in opened)}
    opened += [
        deployment for deployment in providers_from_environment(environ, transport) if deployment.name not in taken
    ]
    return opened


def open_provider(
    name: str, options: ProviderSettings, environ: Mapping[str, str], transport: HttpTransport
) -> ModelProvider:
    """Open one provider of the settings, completed from the environment.

    Raises:
        ProviderSettingsError: It cannot be used.
    """
    provider = find_declared(name, options)
    endpoint = configured_endpoint(provider, options, environ)
    problems = _missing(name, provider, endpoint) + _missing_files(name, options)
    problems += tls_problems(name, options, provider, endpoint)
    if problems:
        raise ProviderSettingsError("; ".join(problems))
    try:
        return open_remote_provider(
            provider,
            endpoint,
            transport,
            tls=None if options.tls == TlsSettings() else options.tls,
            name=name,
            options={**options_from_environment(provider, environ), **options.options},
            overrides={model: facts.capabilities() for model, facts in options.models.items()},
            prices=[price for model, facts in options.models.items() for price in facts.prices(model)],
            timeout_s=options.timeout_s,
            refresh_s=options.refresh_s,
        )
    except AdapterError as error:
        raise ProviderSettingsError(f"providers.{name}: {error.message}") from error
    except OSError as error:
        raise ProviderSettingsError(f"providers.{name}.tls: {error.filename}: {error.strerror}") from None


async def provider_problems(
    configured: Mapping[str, ProviderSettings], environ: Mapping[str, str], transport: HttpTransport
) -> list[str]:
    """Return all problems of the configured providers, one sentence each."""
    problems = []
    for name, options in configured.items():
        try:
            provider = _find(name, options)
        except ProviderSettingsError as error:
            problems.append(str(error))
            continue
        endpoint = configured_endpoint(provider, options, environ)
        found = _unknown_options(name, options, provider)
        found += _missing(name, provider, endpoint)
        found += _missing_files(name, options)
        found += tls_problems(name, options, provider, endpoint)
        found += price_problems(name, options, provider)
        problems += found or await _unopenable(name, options, environ, transport)
    return problems


async def _unopenable(
    name: str, options: ProviderSettings, environ: Mapping[str, str], transport: HttpTransport
) -> list[str]:
    try:
        await open_provider(name, options, environ, transport).close()
    except ProviderSettingsError as error:
        return [str(error)]
    return []


def configured_endpoint(provider: Provider, options: ProviderSettings, environ: Mapping[str, str]) -> Endpoint:
    """Return base URL, key and headers of a provider; the base URL is empty when none is configured."""
    return Endpoint(
        base_url=options.base_url or first_of(provider.base_url_variables, environ) or provider.base_url,
        api_key=options.api_key or first_of(provider.key_variables, environ),
        headers={header.lower(): value for header, value in options.headers.items()},
    )


def find_declared(name: str, options: ProviderSettings) -> Provider:
    """Return the declaration of a provider of the settings.

    Raises:
        ProviderSettingsError: There is no such provider, or it does not have one of the options.
    """
    provider = _find(name, options)
    problems = _unknown_options(name, options, provider)
    if problems:
        raise ProviderSettingsError("; ".join(problems))
    return provider


def _find(name: str, options: ProviderSettings) -> Provider:
    wanted = options.provider or name
    provider = find_provider(wanted)
    if provider is None and wanted in broken_providers():
        raise ProviderSettingsError(f"providers.{name}: the provider {wanted} is broken: {broken_providers()[wanted]}")
    if provider is None:
        key = f"providers.{name}.provider" if options.provider else f"providers.{name}"
        hint = did_you_mean(wanted, provider_names())
        raise ProviderSettingsError(f"{key}: there is no provider {wanted}{hint}")
    return provider


def _unknown_options(name: str, options: ProviderSettings, provider: Provider) -> list[str]:
    return [
        f"providers.{name}.options.{option} is not an option of {provider.name}{did_you_mean(option, provider.options)}"
        for option in options.options
        if option not in provider.options
    ]


def _missing(name: str, provider: Provider, endpoint: Endpoint) -> list[str]:
    problems = []
    if not endpoint.base_url:
        problems.append(f"providers.{name}.base_url is missing: {provider.title} has no public address")
    if provider.key_is_required and not endpoint.api_key:
        variables = " or ".join(provider.key_variables)
        hint = f"; set it, or {variables}" if variables else ""
        problems.append(f"providers.{name}.api_key is missing{hint}")
    return problems


def _missing_files(name: str, options: ProviderSettings) -> list[str]:
    return [
        f'providers.{name}.models."{model}".tokenizer: there is no file {facts.tokenizer}'
        for model, facts in options.models.items()
        if facts.tokenizer and not Path(facts.tokenizer).is_file()
    ]


def open_configured_transport(options: TransportSettings) -> HttpTransport:
    """Open the HTTP transport that all providers of a process share.

    Raises:
        ProviderSettingsError: A certificate, key or proxy is invalid, or the library is not installed.
    """
    for key, value in (("proxy", options.proxy), ("http2", options.http2)):
        if options.client == "loop" and value:
            raise ProviderSettingsError(f"transport.{key}: the client loop has none; leave it out, or choose auto")
    try:
        return open_transport(options)
    except ImportError as error:
        raise ProviderSettingsError(f"transport.client: {error.name} is not installed") from None
    except OSError as error:
        raise ProviderSettingsError(f"transport: {error.filename}: {error.strerror}") from None
    except ValueError:
        # httpx quotes the proxy URL, which may contain a password.
        raise ProviderSettingsError("transport.proxy is malformed") from None
