"""Connection pool of one host: connections are opened on demand, reused, and closed when idle."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from contextlib import suppress
from socket import gaierror, socket
from typing import Final

from rerankd.http.happy_eyeballs import connect_tcp
from rerankd.http.http1_connection import Bounds, Connection
from rerankd.http.tls import ClientContext, explain
from rerankd.http.transport import closed, timed_out, unreachable
from rerankd.http.transport_settings import TransportSettings

_SHUTDOWN_S: Final = 1.0
"""Seconds to wait for a server's TLS closing alert."""


class HostPool:
    """Hands out connections to one host, the one used last first. For one event loop.

    Args:
        host: A name, or an address without brackets.
        port: Its port.
        settings: How connections are made and kept.
        tls: For TLS; `None` for plain HTTP.
        server_name: Name in the server's certificate, if it is not the host.
    """

    def __init__(
        self,
        host: str,
        port: int,
        settings: TransportSettings,
        tls: ClientContext | None = None,
        *,
        server_name: str | None = None,
    ) -> None:
        self._host = host
        self._server_name = server_name or host
        self._port = port
        self._tls = tls
        self._settings = settings
        self._bounds = Bounds(silence_s=settings.read_timeout_s, body_bytes=settings.max_response_bytes)
        self._connections: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        """Idle connections, the most recently used last."""
        self._connecting: set[asyncio.Timeout] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._emptied = asyncio.Event()
        """Set when the last connection is closed."""

    def take(self) -> Connection | None:
        """Return an idle connection, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def connect(self, timeout_s: float, deadline_s: float) -> Connection:
        """Make a connection.

        Args:
            timeout_s: Seconds the caller gave, for an error's message.
            deadline_s: When they are over, on the loop's clock.

        Raises:
            AdapterError: `TIMEOUT` at the deadline, `UNAVAILABLE` when there is no connection for another reason.
        """
        remaining_s = deadline_s - asyncio.get_running_loop().time()
        limit = asyncio.timeout(min(remaining_s, self._settings.connect_timeout_s))
        self._connecting.add(limit)
        sock = None
        try:
            async with limit:
                sock = await connect_tcp(self._host, self._port)
                connection = await self._open(sock)
        except OSError as error:
            if self._is_closed:
                raise closed() from None
            if limit.expired() and remaining_s <= self._settings.connect_timeout_s:
                raise timed_out(timeout_s) from None
            raise unreachable(self._cause(error, is_connected=sock is not None)) from None
        finally:
            self._connecting.discard(limit)
        if not connection.is_open:
            raise unreachable("it was closed as soon as it was made")
        if self._is_closed:
            connection.abort(None)
            raise closed()
        self._connections.add(connection)
        self._emptied.clear()
        return connection

    async def _open(self, sock: socket) -> Connection:
        """Make a connection of a connected socket, which the connection then owns."""
        loop = asyncio.get_running_loop()

        def make() -> Connection:
            return Connection(loop, self._bounds, self._keep, self._forget)

        if self._tls is None:
            _, connection = await loop.create_connection(make, sock=sock)
            return connection
        if self._connections:
            self._keep_session(next(iter(self._connections)))
        _, connection = await loop.create_connection(
            make,
            sock=sock,
            ssl=self._tls,
            server_hostname=self._server_name,
            ssl_handshake_timeout=self._settings.connect_timeout_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
        return connection

    def _cause(self, error: OSError, *, is_connected: bool) -> str:
        """Return the cause of a failed connection, without the address that the event loop's text names."""
        if isinstance(error, ssl.SSLError):
            return explain(error, self._server_name)
        if isinstance(error, gaierror):
            return error.strerror or "the host's name cannot be resolved"
        if isinstance(error, TimeoutError) and not error.errno:
            what = f"the TLS handshake with {self._host} was not done" if is_connected else "no connection was made"
            return f"{what} in time"
        if error.errno:
            return os.strerror(error.errno)
        return f"{self._host} broke off the TLS handshake" if is_connected else str(error)

    def close(self) -> None:
        """Close every connection; requests under way fail, and so does making new ones."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for limit in self._connecting:
            if not limit.expired():
                limit.reschedule(0)
        while self._idle:
            self._idle.pop().close()
        for connection in self._connections:
            if connection.is_open:
                connection.abort(closed())

    async def wait_closed(self) -> None:
        """Wait until the sockets of a closed pool are closed: until servers have ended TLS, at most 1 s."""
        if self._connections:
            await self._emptied.wait()

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if len(self._idle) > self._settings.max_connections_per_host:
            self._idle.popleft().close()
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._settings.idle_timeout_s, self._close_idle)

    def _keep_session(self, connection: Connection) -> None:
        if self._tls is not None:
            self._tls.keep_session(self._host, connection.tls_session)

    def _forget(self, connection: Connection) -> None:
        self._keep_session(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()
        with suppress(ValueError):
            self._idle.remove(connection)

    def _close_idle(self) -> None:
        """Close connections that were idle for too long, and set the timer for the next."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._idle and (ends_s := self._idle[0].heard_s + self._settings.idle_timeout_s) <= now_s:
            self._idle.popleft().close()
        self._sweep = loop.call_at(ends_s, self._close_idle) if self._idle else None
