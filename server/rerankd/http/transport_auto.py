"""The transport that takes the cheapest way: plain HTTP without a proxy over the event loop, all else over another."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rerankd.http.transport import HttpTransport
from rerankd_adapters.base import HttpRequest, HttpResponse

_MOST_CHOICES: Final = 1024
"""URLs whose way is kept: they may hold the names of models, which callers choose."""


class AutoTransport:
    """See `HttpTransport`.

    Args:
        plain: Takes `http` URLs without a proxy.
        general: Takes everything.
        uses_environment_proxy: Whether the environment, or the system, may name proxies.
    """

    name: Final = "auto"

    def __init__(self, plain: HttpTransport, general: HttpTransport, *, uses_environment_proxy: bool) -> None:
        self._plain = plain
        self._general = general
        proxies = getproxies() if uses_environment_proxy else {}
        self._has_proxies = "http" in proxies or "all" in proxies
        self._chosen: dict[str, HttpTransport] = {}

    def send(self, request: HttpRequest, timeout_s: float) -> Coroutine[Any, Any, HttpResponse]:
        """See `HttpTransport.send`."""
        return (self._chosen.get(request.url) or self._choose(request.url)).send(request, timeout_s)

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        await self._plain.close()
        await self._general.close()

    def _choose(self, url: str) -> HttpTransport:
        if len(self._chosen) >= _MOST_CHOICES:
            self._chosen.clear()
        chosen = self._chosen[url] = self._plain if self._is_plain(url) else self._general
        return chosen

    def _is_plain(self, url: str) -> bool:
        """Whether a URL is certainly reached without TLS and a proxy."""
        try:
            parts = urlsplit(url)
        except ValueError:  # whoever sends it finds that, too
            return False
        if parts.scheme != "http":
            return False
        return not self._has_proxies or bool(proxy_bypass(parts.netloc.rpartition("@")[2]))
