"""The connections to one host: made when none is free, kept for the next request, closed when they idle."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from socket import gaierror

from rerankd.http.http1_connection import Bounds, Connection
from rerankd.http.transport import TransportSettings, closed, timed_out, unreachable


class HostPool:
    """Hands out connections to one host, the one used last first. For one event loop.

    Args:
        host: A name, or an address without brackets.
        port: Its port.
        settings: How connections are made and kept.
    """

    def __init__(self, host: str, port: int, settings: TransportSettings) -> None:
        self._host = host
        self._port = port
        self._settings = settings
        self._bounds = Bounds(silence_s=settings.read_timeout_s, body_bytes=settings.max_response_bytes)
        self._connections: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        """Those that are free, the one used last at the end."""
        self._connecting: set[asyncio.Timeout] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self) -> Connection | None:
        """Return a connection that was kept, if there is one."""
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
        loop = asyncio.get_running_loop()
        remaining_s = deadline_s - loop.time()
        limit = asyncio.timeout(min(remaining_s, self._settings.connect_timeout_s))
        self._connecting.add(limit)
        try:
            async with limit:
                connection = await self._connect(loop)
        except OSError as error:
            if self._is_closed:
                raise closed() from None
            if not limit.expired():
                raise unreachable(_cause(error)) from None
            if remaining_s <= self._settings.connect_timeout_s:
                raise timed_out(timeout_s) from None
            raise unreachable("no connection was made in time") from None
        finally:
            self._connecting.discard(limit)
        if not connection.is_open:
            raise unreachable("it was closed as soon as it was made")
        if self._is_closed:
            connection.abort(None)
            raise closed()
        self._connections.add(connection)
        return connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Connection:
        _, connection = await loop.create_connection(
            lambda: Connection(loop, self._bounds, self._keep, self._forget), self._host, self._port
        )
        return connection

    def close(self) -> None:
        """Close every connection; requests under way fail, and so does making new ones."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for limit in self._connecting:
            if not limit.expired():
                limit.reschedule(0)
        for connection in self._connections:
            connection.abort(closed())

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if len(self._idle) > self._settings.max_connections_per_host:
            self._idle.popleft().abort(None)
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._settings.idle_timeout_s, self._close_idle)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)

    def _close_idle(self) -> None:
        """Close what was not used for too long, and look again when the next one may be."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._idle and (ends_s := self._idle[0].heard_s + self._settings.idle_timeout_s) <= now_s:
            self._idle.popleft().abort(None)
        self._sweep = loop.call_at(ends_s, self._close_idle) if self._idle else None


def _cause(error: OSError) -> str:
    """Return the system's words; those of the event loop name the address."""
    if isinstance(error, gaierror):
        return error.strerror or "the host's name cannot be resolved"
    return os.strerror(error.errno) if error.errno else "none of the host's addresses can be connected to"
