"""Opens the HTTP transport that the settings ask for."""

from __future__ import annotations

from importlib.util import find_spec

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_settings import CLIENTS, TlsSettings, TransportSettings


def open_transport(settings: TransportSettings | None = None, tls: TlsSettings | None = None) -> HttpTransport:
    """Open the transport that the settings ask for.

    Args:
        settings: How connections are made, and by which `client`: `loop` is HTTP/1.1 on the event loop, which knows no
            proxies; `httpx` takes everything. `auto` is `httpx` with a proxy or HTTP/2 in the settings and where
            httptools is not installed, else `loop`, but for hosts that the environment has a proxy for.
        tls: TLS settings of the one provider that the transport is for; default: those of `settings`.

    Raises:
        OSError: For a certificate or key that cannot be used; names the file.
        ValueError: For another client, a malformed proxy, or `loop` with a proxy or HTTP/2.
    """
    settings = settings or TransportSettings()
    if settings.client not in CLIENTS:
        raise ValueError(f"the transport must be {' or '.join(CLIENTS)}, was {settings.client}")
    if settings.client == "httpx" or (settings.client == "auto" and _needs_httpx(settings)):
        from rerankd.http.transport_httpx import HttpxTransport

        return HttpxTransport(settings, tls)
    from rerankd.http.transport_loop import LoopTransport

    loop = LoopTransport(settings, tls)
    if settings.client == "loop" or not settings.uses_environment_proxy:
        return loop
    from rerankd.http.environment_proxy import EnvironmentProxyTransport, names_proxy

    if not names_proxy():
        return loop
    from rerankd.http.transport_httpx import HttpxTransport

    return EnvironmentProxyTransport(loop, HttpxTransport(settings, tls))


def _needs_httpx(settings: TransportSettings) -> bool:
    return bool(settings.proxy) or settings.http2 or find_spec("httptools") is None
