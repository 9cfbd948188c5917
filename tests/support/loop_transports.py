"""Transports on the event loop, and servers that they trust, all plain or all over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerankd.http.transport_loop import LoopTransport
from rerankd.http.transport_settings import TransportSettings
from tests.support.certificates import server_context
from tests.support.raw_server import RawServer, Script


class LoopTransports:
    """Opens them.

    Args:
        ca_file: Of the tests' authority; `None` for plain HTTP.
    """

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self._tls = server_context() if ca_file else None
        self._opened: list[LoopTransport] = []

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self._tls else "http"

    def __call__(self, **settings: Any) -> LoopTransport:
        """Open a transport that is closed after the test."""
        usual = {"uses_environment_proxy": False, "ca_file": self._ca_file and str(self._ca_file)}
        self._opened.append(LoopTransport(TransportSettings(**usual | settings)))
        return self._opened[-1]

    def server(self, script: Script, host: str = "127.0.0.1") -> RawServer:
        """Make a server."""
        return RawServer(script, host, self._tls)

    async def close(self) -> None:
        """Close every transport."""
        for transport in self._opened:
            await transport.close()
