"""Reserves the ports of several workers: found free once, for as long as the service runs."""

from __future__ import annotations

import errno
import socket

import msgspec

from rerankd.serving.listening import bind_all, cannot_listen, family_of, find_addresses
from rerankd.settings import Settings


def reserve_ports(settings: Settings) -> tuple[list[socket.socket], Settings]:
    """Bind both ports without listening, to detect conflicts and to resolve port 0 for all workers.

    Returns:
        The sockets, which the caller closes, and the settings with the ports.

    Raises:
        CannotStartError: A port is in use, or the service cannot or may not listen on the address.
    """
    server = settings.server
    addresses = find_addresses(server, is_authenticated=settings.access.enabled)
    reserved: list[socket.socket] = []
    ports: dict[str, int] = {}
    for kind, port in (("grpc", server.grpc_port), ("http", server.http_port)):
        try:
            holders = bind_all(addresses, port, _hold)
        except OSError as error:
            raise cannot_listen(server.host, port, kind, error) from None
        ports[f"{kind}_port"] = holders[0].getsockname()[1]
        reserved += holders
    return reserved, msgspec.structs.replace(settings, server=msgspec.structs.replace(server, **ports))


def _hold(address: str, port: int) -> socket.socket:
    """Bind a port on which nobody listens, in a way that lets the workers bind it too.

    `SO_REUSEPORT` alone does not bind a port that has connections in TIME_WAIT of a server without it, such as one of
    a single worker. `SO_REUSEADDR` does, but then a second supervisor does not see this one until its workers listen,
    so it is the second choice.
    """
    with _bound(address, port, socket.SO_REUSEADDR) as probe:
        port = probe.getsockname()[1]
    try:
        return _bound(address, port, socket.SO_REUSEPORT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bound(address, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _bound(address: str, port: int, *options: int) -> socket.socket:
    bound = socket.socket(family_of(address))
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
