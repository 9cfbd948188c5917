"""Counts HTTP connections, in all and per address, and refuses those beyond the limits."""

from __future__ import annotations

import os
import sys
from typing import Final

from rerankd.gateway.listener.refusal_log import RefusalLog
from rerankd.telemetry.metrics.instruments import metrics

if sys.platform != "win32":
    import resource

_RESERVED_FILES: Final = 24
"""Open files reserved for logs, models and reloaded settings."""
_HTTP_SHARE: Final = 0.6
"""Share of the free file descriptors for HTTP; the rest is for gRPC and for connections to providers."""


def open_file_room() -> int:
    """Return how many HTTP connections the limit of open files leaves room for, counted from what is open now."""
    if sys.platform == "win32":
        return 2**31
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return 2**31
    try:
        opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone are wanted
    except OSError:
        opened = 64
    return max(1, int((most - opened - _RESERVED_FILES) * _HTTP_SHARE))


class ConnectionLimit:
    """Counts the connections of one worker. For one event loop.

    Args:
        max_connections: Of all addresses.
        max_per_address: Of one address.
    """

    def __init__(self, max_connections: int, max_per_address: int) -> None:
        self.max_connections = max_connections
        self.max_per_address = max_per_address
        self._by_address: dict[str, int] = {}
        self._count = 0
        self.refusals = RefusalLog()
        """Of the listener, for other reasons too."""

    def enter(self, address: str) -> str | None:
        """Count a connection, until `leave`; return the limit that refuses it, or `None`."""
        here = self._by_address.get(address, 0)
        if self._count >= self.max_connections:
            return self._refuse("max_connections", self.max_connections, address)
        if here >= self.max_per_address:
            return self._refuse("max_connections_per_address", self.max_per_address, address)
        self._by_address[address] = here + 1
        self._count += 1
        metrics.http_connections.of().set(self._count)
        return None

    def leave(self, address: str) -> None:
        """Uncount a connection that `enter` has counted."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        metrics.http_connections.of().set(self._count)

    def _refuse(self, limit: str, most: int, address: str) -> str:
        metrics.http_refused.of(limit).inc()
        name = f"server.http.{limit}"
        self.refusals.note(name, address, limit=name, most=most)
        return limit
