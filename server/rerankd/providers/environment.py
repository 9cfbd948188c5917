"""Providers configured by their conventional environment variables alone, such as `COHERE_API_KEY`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog

from rerankd.http.transport import HttpTransport
from rerankd.providers.http_provider import open_remote_provider
from rerankd_adapters.base import AdapterError, Endpoint, ModelProvider, Provider
from rerankd_adapters.registry import find_provider, provider_names

_log = structlog.get_logger("rerankd.providers")


def providers_from_environment(environ: Mapping[str, str], transport: HttpTransport) -> Iterator[ModelProvider]:
    """Open every provider whose key or address is in the environment.

    A provider that lacks another input, such as a region, is skipped with a warning.
    """
    for name in provider_names():
        provider = find_provider(name)
        endpoint = endpoint_from_environment(provider, environ) if provider else None
        if provider and endpoint:
            options = options_from_environment(provider, environ)
            try:
                yield open_remote_provider(provider, endpoint, transport, options=options)
            except AdapterError as error:
                _log.warning("provider left out", provider=name, problem=error.message)


def endpoint_from_environment(provider: Provider, environ: Mapping[str, str]) -> Endpoint | None:
    """Return base URL and key from the environment; `None` when the environment does not configure the provider."""
    key = first_of(provider.key_variables, environ)
    base_url = first_of(provider.base_url_variables, environ)
    is_meant = bool(key or base_url or first_of(provider.presence_variables, environ))
    base_url = base_url or provider.base_url
    if not is_meant or not base_url or (provider.key_is_required and not key):
        return None
    return Endpoint(base_url=base_url, api_key=key)


def options_from_environment(provider: Provider, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the adapter options whose environment variables are set."""
    found = {name: first_of(variables, environ) for name, variables in provider.option_variables.items()}
    return {name: value for name, value in found.items() if value}


def first_of(variables: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the value of the first variable that is set and not blank, stripped; empty when there is none."""
    return next((value for name in variables if (value := environ.get(name, "").strip())), "")
