"""Transport for an environment with a proxy, which hosts in `NO_PROXY` bypass."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rerankd.http.transport import HttpTransport
from rerankd_adapters.base import HttpRequest, HttpResponse

_MOST_URLS: Final = 1024
"""URLs of which it is remembered whether they are proxied: they may hold the names of models, which callers choose."""


def names_proxy() -> bool:
    """Say whether `HTTP_PROXY`, `HTTPS_PROXY` or `ALL_PROXY`, in any case, or the system names a proxy."""
    return not {"http", "https", "all"}.isdisjoint(getproxies())


def is_proxied(url: str) -> bool:
    """Say whether the environment, or the system, has a proxy for a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # whoever sends it finds that, too
        return False
    proxies = getproxies()
    has_proxy = parts.scheme in proxies or "all" in proxies
    return has_proxy and not proxy_bypass(parts.netloc.rpartition("@")[2])


class EnvironmentProxyTransport:
    """See `HttpTransport`.

    Args:
        direct: Sends requests that are not proxied.
        proxied: Sends the others; finds the proxy in the environment.
    """

    name: Final = "auto"

    def __init__(self, direct: HttpTransport, proxied: HttpTransport) -> None:
        self.settings: Final = direct.settings
        self._direct = direct
        self._proxied = proxied
        self._is_proxied = lru_cache(_MOST_URLS)(is_proxied)

    def send(self, request: HttpRequest, timeout_s: float) -> Coroutine[Any, Any, HttpResponse]:
        """See `HttpTransport.send`."""
        transport = self._proxied if self._is_proxied(request.url) else self._direct
        return transport.send(request, timeout_s)

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        await self._direct.close()
        await self._proxied.close()
