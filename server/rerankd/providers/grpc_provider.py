"""Providers reached over gRPC, with the same authentication as HTTP providers."""

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
    options: Mapping[str, object] | None = None,
    authenticator: Authenticator | None = None,
    overrides: Mapping[str, Capabilities] | None = None,
    prices: Sequence[Price] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
    refresh_s: float = DEFAULT_REFRESH_S,
    settings: TransportSettings | None = None,
    trace_headers: Callable[[], Headers] | None = None,
) -> GrpcUpstream:
    """Open a gRPC provider; the caller closes it.

    Args:
        provider: Declaration whose `adapter` is a `GrpcUpstream`.
        endpoint: Address and key.
        transport: Sends token requests.
        name: Public name of the provider; default: its own name.
        options: Options of adapter and authentication, by the names of `Provider.options`.
        authenticator: Replaces the authentication that `provider` declares.
        overrides: Capabilities by model, `*` for every model; override table and server.
        prices: Checked before the prices of `provider`.
        timeout_s: Timeout of one call in seconds; a shorter deadline of the call wins.
        refresh_s: Seconds between refreshes of the reported capabilities; 0 disables them.
        settings: HTTP transport settings; certificates and the response size limit apply to gRPC too.
        trace_headers: Returns the trace context headers of the running task.

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for invalid options.
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
