"""Providers reached over gRPC, with the same authentication as HTTP providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd.providers.authentication import RequestAuthenticator, open_authenticator
from rerankd.providers.grpc_certificates import FollowedChannelSettings
from rerankd.providers.refresh import DEFAULT_REFRESH_S
from rerankd_adapters.base import Capabilities, Endpoint, HttpRequest, Price, Provider
from rerankd_adapters.grpc_upstream.upstream import DEFAULT_TIMEOUT_S, GrpcUpstream

Headers = Mapping[str, str]


def open_grpc_provider(
    provider: Provider,
    endpoint: Endpoint,
    transport: HttpTransport,
    *,
    name: str = "",
    options: Mapping[str, object] | None = None,
    authenticator: RequestAuthenticator | None = None,
    overrides: Mapping[str, Capabilities] | None = None,
    prices: Sequence[Price] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
    refresh_s: float = DEFAULT_REFRESH_S,
    settings: TransportSettings | None = None,
    tls: TlsSettings | None = None,
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
        tls: TLS settings of this provider; default: those of `settings`.
        trace_headers: Returns the trace context headers of the running task.

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for invalid options.
        OSError: For a certificate or key that cannot be read; names the file.
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
        settings=FollowedChannelSettings(settings or TransportSettings(), tls),
        authorize=_authorize(chosen, endpoint),
        trace_headers=trace_headers,
    )


def _authorize(authenticator: RequestAuthenticator, endpoint: Endpoint) -> Callable[[], Awaitable[Headers]]:
    async def authorize() -> Headers:
        return (await authenticator.authenticate(HttpRequest(url=endpoint.base_url))).headers

    return authorize


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
