"""Where the service listens: addresses of a host, ports, and whether anybody may call there."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from rerankd.settings import ServerSettings

LOCALHOST: Final = "localhost"
_LOOPBACK: Final = ("127.0.0.1", "::1")
_MISSING: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRIES: Final = 8
"""Ports tried for port 0 until one is free on every address."""


class CannotStartError(Exception):
    """The service cannot start; the message says why and what to do."""


class Addresses(msgspec.Struct, frozen=True):
    """Where a running service listens."""

    host: str
    """As the settings name it."""
    addresses: tuple[str, ...]
    """IP addresses of `host`; both listeners are on each of them."""
    grpc_port: int
    http_port: int


def find_addresses(server: ServerSettings, *, is_authenticated: bool = False) -> tuple[str, ...]:
    """Resolve `server.host`, and check that the service may listen there.

    Args:
        server: Where to listen.
        is_authenticated: Whether callers need a key.

    Returns:
        IP addresses, n >= 1, each once. `localhost` is 127.0.0.1 and ::1, whichever this machine has.

    Raises:
        CannotStartError: The name is not known, or callers from elsewhere would not be authenticated.
    """
    try:
        addresses = resolve(server.host)
    except OSError as error:
        reason = error.strerror or error
        raise CannotStartError(f"cannot resolve server.host {server.host!r}: {reason}; set another (--host)") from None
    problem = None if is_authenticated else exposure_problem(server, addresses)
    if problem is not None:
        raise CannotStartError(problem)
    return addresses


def resolve(host: str) -> tuple[str, ...]:
    """Return the IP addresses of a host, each once; IPv4 addresses mapped into IPv6 as plain IPv4 ones.

    Raises:
        OSError: The name is not known, or cannot be a name.
    """
    if host == LOCALHOST:
        return tuple(address for address in _LOOPBACK if _is_present(address))
    try:
        found = socket.getaddrinfo(host.removeprefix("[").removesuffix("]"), None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(errno.EINVAL, "it is not a host name") from None
    return tuple(dict.fromkeys(str(_unmapped(str(row[4][0]))) for row in found))


def exposure_problem(server: ServerSettings, addresses: Sequence[str]) -> str | None:
    """Say why a service whose callers need no key must not listen on these addresses; None if it may.

    Only this machine may reach it unless the settings allow all.
    """
    if server.allow_unauthenticated or not (exposed := exposed_addresses(addresses)):
        return None
    named = server.host if server.host in exposed else f"{server.host} ({', '.join(exposed)})"
    return (
        f"server.host {named} is reachable from other machines, and callers are not authenticated; "
        "listen on localhost (--host localhost), have callers send API keys with access.enabled: true, or let anybody "
        "call with "
        "server.allow_unauthenticated: true (--allow-unauthenticated)"
    )


def exposed_addresses(addresses: Sequence[str]) -> list[str]:
    """Return those of the IP addresses that other machines can reach: all but loopback ones."""
    return [address for address in addresses if not _unmapped(address).is_loopback]


def bind_all(addresses: Sequence[str], port: int, bind: Callable[[str, int], socket.socket]) -> list[socket.socket]:
    """Bind one port on every address; port 0 is one that is free on all of them.

    Args:
        addresses: IP addresses, n >= 1.
        port: 0 to 65535.
        bind: Binds one socket.

    Raises:
        OSError: An address cannot be bound; no socket stays open.
    """
    tries_left = 1 if port else _TRIES
    while True:
        tries_left -= 1
        try:
            return _bind_each(addresses, port, bind)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries_left:
                raise


def cannot_listen(host: str, port: int, kind: str, error: Exception) -> CannotStartError:
    """Build the error for a port that cannot be bound; `kind` is "grpc" or "http"."""
    number = error.errno if isinstance(error, OSError) else None
    reason = "the address is in use or not local" if number is None else os.strerror(number)
    return CannotStartError(
        f"cannot listen on {host}:{port} for {kind}: {reason}; choose another with --{kind}-port or --host"
    )


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bind_each(addresses: Sequence[str], port: int, bind: Callable[[str, int], socket.socket]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as unless_all:
        for address in addresses:
            sockets.append(unless_all.enter_context(bind(address, port)))
            port = sockets[0].getsockname()[1]
        unless_all.pop_all()
    return sockets


def _is_present(address: str) -> bool:
    try:
        with socket.socket(family_of(address)) as probe:
            probe.bind((address, 0))
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    return True


def _unmapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
