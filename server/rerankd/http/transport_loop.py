"""The transport on the event loop itself: HTTP/1.1, plain or over TLS, without a proxy.

It costs a fraction of what libraries do because it does no more than is needed here, on no other thread.

Servers close connections that idle, and sometimes just when the next request is on its way. So a request on a
connection that had served before, which ends without a byte of a response, is sent once more, on a new one. The server
may have seen it and work twice; but scoring changes nothing, and the engine would send the request again after any
`UNAVAILABLE`, having held it against the deployment.
"""

from __future__ import annotations

import asyncio
from typing import Final

from rerankd.http.http1_pool import HostPool
from rerankd.http.http1_request import RequestForm, form_key, form_of
from rerankd.http.tls import open_client_context
from rerankd.http.transport import closed
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd_adapters.base import HttpRequest, HttpResponse

_MOST_ROUTES: Final = 1024
"""Routes that are kept: URLs may hold the names of models, which callers choose."""

_Route = tuple[RequestForm, HostPool]


class LoopTransport:
    """See `HttpTransport`.

    Args:
        settings: How connections are made.
        tls: TLS settings of the one provider it serves; default: those of `settings`.

    Raises:
        OSError: For a certificate or key that cannot be used; names the file.
        ValueError: For a proxy or HTTP/2.
    """

    name: Final = "loop"

    def __init__(self, settings: TransportSettings, tls: TlsSettings | None = None) -> None:
        if settings.proxy or settings.http2:
            raise ValueError("the loop transport takes no proxy and has no HTTP/2")
        self.settings: Final = settings
        self._tls_settings = settings.tls(tls)
        self._tls = open_client_context(self._tls_settings)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._routes: dict[tuple[object, ...], _Route] = {}
        self._pools: dict[tuple[bool, str, int], HostPool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """See `HttpTransport.send`."""
        if self._is_closed:
            raise closed()
        key = form_key(request)
        form, pool = self._routes.get(key) or self._open_route(key, request)
        head = form.head_of(request)
        loop = self._loop = self._loop or asyncio.get_running_loop()  # get_running_loop costs a system call
        deadline_s = loop.time() + timeout_s
        connection = pool.take()
        while True:
            if connection is None:
                connection = await pool.connect(timeout_s, deadline_s)
            future = connection.start(head, request.body, timeout_s, deadline_s, is_head=form.is_head)
            try:
                outcome = await future
            except asyncio.CancelledError:
                connection.give_up(future)
                raise
            if isinstance(outcome, HttpResponse):
                return outcome
            if outcome is not None:
                raise outcome
            connection = None

    def _open_route(self, key: tuple[object, ...], request: HttpRequest) -> _Route:
        form = form_of(request)
        address = (form.is_tls, form.host, form.port)
        pool = self._pools.get(address)
        if pool is None:
            tls = self._tls if form.is_tls else None
            name = self._tls_settings.server_name
            pool = self._pools[address] = HostPool(form.host, form.port, self.settings, tls, server_name=name)
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[key] = form, pool
        return form, pool

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()
        for pool in self._pools.values():
            await pool.wait_closed()
