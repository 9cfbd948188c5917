"""The HTTP listener: uvicorn in an existing event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn

from rerankd.gateway.listener.connection import protocol_of
from rerankd.gateway.listener.connection_limit import ConnectionLimit, open_file_room
from rerankd.http.settings import ListenerSettings

_log = structlog.get_logger("rerankd.gateway")


class _EmbeddedServer(uvicorn.Server):
    """A uvicorn server without signal handlers; the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI application in one event loop.

    Args:
        app: The ASGI application.
        options: The listener's settings.
        drain_grace_s: Seconds that requests in flight may take to finish once `stop` is called.
        tls: Context of its connections; default: plain HTTP.
    """

    def __init__(
        self, app: Any, options: ListenerSettings, drain_grace_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limit = ConnectionLimit(options.max_connections, options.max_connections_per_address)
        config = uvicorn.Config(
            app,
            http=protocol_of(options, self._limit),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # its warnings are one for each bad request; `RefusalLog` counts those
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=options.keep_alive_s,
            timeout_graceful_shutdown=max(1, round(drain_grace_s)),
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        self._server = _EmbeddedServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, listeners: list[socket.socket]) -> None:
        """Accept connections on bound sockets, as many as the limit of open files has room for."""
        if (room := open_file_room()) < self._limit.max_connections:
            _log.info("connections limited by open files", max_connections=room, wanted=self._limit.max_connections)
            self._limit.max_connections = room
        self._task = asyncio.create_task(self._server.serve(sockets=listeners))
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Close the listener and wait for requests in flight, at most the grace period."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def bind(host: str, port: int, *, is_port_shared: bool = False) -> socket.socket:
    """Bind a listening TCP socket to an IP address; `::` takes IPv4 connections too, as it does for gRPC.

    Raises:
        OSError: The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server(
        (host, port), family=family, backlog=2048, reuse_port=is_port_shared, dualstack_ipv6=host == "::"
    )
