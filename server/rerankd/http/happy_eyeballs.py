"""TCP connections to hosts with several addresses, by RFC 8305 ("Happy Eyeballs").

uvloop's `create_connection` tries addresses one after the other; aiohappyeyeballs races them on any event loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection

STAGGER_S: Final = 0.25
"""How long an address has before the next one is tried beside it: RFC 8305, section 8."""


async def connect_tcp(host: str, port: int) -> socket.socket:
    """Connect to the first address of a host that accepts.

    Cancelling closes whatever was begun.

    Args:
        host: A name, or an address without brackets.
        port: Its port.

    Returns:
        A connected, non-blocking socket, the caller's to close.

    Raises:
        OSError: No address accepts. `socket.gaierror` when there is none.
    """
    addresses = await resolve_addresses(host, port)
    connected = await start_connection(addresses, happy_eyeballs_delay=STAGGER_S, interleave=1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


async def resolve_addresses(host: str, port: int) -> Sequence[AddrInfoType]:
    """Return a host's addresses in the system's order of preference; an address is not looked up.

    Raises:
        OSError: There is none; a `socket.gaierror`.
    """
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
