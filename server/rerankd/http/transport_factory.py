"""Decides which transport sends the requests."""

from __future__ import annotations

from importlib.util import find_spec

from rerankd.http.transport import CLIENTS, ClientName, HttpTransport, TransportSettings


def open_transport(name: ClientName = "auto", settings: TransportSettings | None = None) -> HttpTransport:
    """Open a transport; this is where it is decided which one.

    Args:
        name: `loop` is HTTP/1.1 on the event loop, which knows no proxies; `httpx` takes everything. `auto` is
            `httpx` with a proxy or HTTP/2 in the settings and where httptools is not installed, else `loop`, but for
            hosts that the environment has a proxy for.
        settings: How connections are made.

    Raises:
        OSError: For a certificate or key that cannot be used; names the file.
        ValueError: For another name, a malformed proxy, or `loop` with a proxy or HTTP/2.
    """
    settings = settings or TransportSettings()
    if name not in CLIENTS:
        raise ValueError(f"the transport must be {' or '.join(CLIENTS)}, was {name}")
    if name == "httpx" or (name == "auto" and _needs_httpx(settings)):
        from rerankd.http.transport_httpx import HttpxTransport

        return HttpxTransport(settings)
    from rerankd.http.transport_loop import LoopTransport

    loop = LoopTransport(settings)
    if name == "loop" or not settings.uses_environment_proxy:
        return loop
    from rerankd.http.environment_proxy import EnvironmentProxyTransport, names_proxy

    return EnvironmentProxyTransport(loop, open_transport("httpx", settings)) if names_proxy() else loop


def _needs_httpx(settings: TransportSettings) -> bool:
    return bool(settings.proxy) or settings.uses_http2 or find_spec("httptools") is None
