"""Opens deployments of providers that are spoken to over gRPC, with the credentials that HTTP ones get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rerankd.http.transport import HttpTransport, TransportSettings
from rerankd.providers.authentication import Authenticator, open_authenticator
from rerankd.providers.refresh import DEFAULT_REFRESH_S
from rerankd_adapters.base import Capabilities, Endpoint, HttpRequest, Price, Provider
from rerankd_adapters.grpc_upstream.channel import ChannelSettings
from rerankd_adapters.grpc_upstream.upstream import DEFAULT_TIMEOUT_S, GrpcUpstream

Headers = Mapping[str, str]


def open_grpc_provider(
    provider: Provider,
    endpoint: Endpoint,
    transport: HttpTransport,
    *,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    authenticator: Authenticator | None = None,
    overrides: Mapping[str, Capabilities] | None = None,
    prices: Sequence[Price] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
    refresh_s: float = DEFAULT_REFRESH_S,
    settings: TransportSettings | None = None,
    trace_headers: Callable[[], Headers] | None = None,
) -> GrpcUpstream:
    """Open a deployment; the caller closes it.

    Args:
        provider: Its `adapter` is a `GrpcUpstream`.
        endpoint: Where and as whom.
        transport: What token exchanges go over.
        name: What the deployment is called, where that is not the provider's name.
        options: The adapter's and the authentication's, by the names of `Provider.options`.
        authenticator: In place of the one that `provider` declares.
        overrides: What the operator knows better, by model; `*` for every model.
        prices: Go before the provider's own.
        timeout_s: Longest time one call may take when its deadline allows more.
        refresh_s: How often the server is asked what it serves, in seconds; 0 for never.
        settings: Of HTTP; certificates and the size of responses hold here too.
        trace_headers: Returns the trace context of the running task.

    Raises:
        AdapterError: `CREDENTIALS` without a key that is needed; `REJECTED` for options that make no sense.
    """
    chosen = authenticator or open_authenticator(provider, endpoint, options or {}, transport)
    adapter: type[GrpcUpstream] = _load(provider.adapter)
    return adapter(
        provider,
        endpoint,
        name=name,
        options=options,
        overrides=overrides,
        prices=prices,
        timeout_s=timeout_s,
        refresh_s=refresh_s,
        settings=_channel_settings(settings or TransportSettings()),
        authorize=_authorize(chosen, endpoint),
        trace_headers=trace_headers,
    )


def _authorize(authenticator: Authenticator, endpoint: Endpoint) -> Callable[[], Awaitable[Headers]]:
    async def authorize() -> Headers:
        return (await authenticator.authenticate(HttpRequest(url=endpoint.base_url))).headers

    return authorize


def _channel_settings(settings: TransportSettings) -> ChannelSettings:
    return ChannelSettings(
        root_certificates=_read(settings.ca_file),
        certificate_chain=_read(settings.client_certificate_file),
        private_key=_read(settings.client_key_file),
        max_message_bytes=settings.max_response_bytes,
        uses_environment_proxy=settings.uses_environment_proxy,
    )


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
