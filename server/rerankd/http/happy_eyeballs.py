"""TCP connections to hosts with several addresses, by RFC 8305 ("Happy Eyeballs").

uvloop's `create_connection` tries addresses one after the other, and asyncio's, where it staggers them, leaks a socket
when it is cancelled (Python 3.11).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Final

STAGGER_S: Final = 0.25
"""How long an address has before the next one is tried beside it: RFC 8305, section 8."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family, and what `connect` takes of it."""


async def connect_tcp(host: str, port: int) -> socket.socket:
    """Connect to the first address of a host that accepts.

    Cancelling closes whatever was begun.

    Args:
        host: A name, or an address without brackets.
        port: Its port.

    Returns:
        A connected, non-blocking socket, the caller's to close.

    Raises:
        OSError: No address accepts; the error of the one that failed first. `socket.gaierror` when there is none.
    """
    addresses = await resolve_addresses(host, port)
    if len(addresses) == 1:
        return await _connect(addresses[0])
    return await _race(addresses)


async def resolve_addresses(host: str, port: int) -> Sequence[Address]:
    """Return a host's addresses in the system's order of preference, its families by turns.

    Raises:
        OSError: There is none; a `socket.gaierror`.
    """
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    else:
        return [(family, (host, port))]
    found: dict[int, list[Address]] = {}
    for info in infos:
        found.setdefault(info[0], []).append((info[0], info[4]))
    return [address for address in chain(*zip_longest(*found.values())) if address is not None]


async def _connect(address: Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: Iterable[Address]) -> socket.socket:
    attempts: list[asyncio.Task[socket.socket]] = []
    pending: set[asyncio.Task[socket.socket]] = set()
    waiting = iter(addresses)
    winner = None
    try:
        while winner is None:
            address = next(waiting, None)
            if address is not None:
                attempts.append(asyncio.create_task(_connect(address)))
                pending.add(attempts[-1])
            elif not pending:
                break
            stagger_s = None if address is None else STAGGER_S
            _, pending = await asyncio.wait(pending, timeout=stagger_s, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in attempts if task.done() and task.exception() is None), None)
    finally:
        for task in attempts:
            if task is not winner:
                task.cancel()
                task.add_done_callback(_close)
    return (winner or attempts[0]).result()


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that lost, if it connected all the same."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
