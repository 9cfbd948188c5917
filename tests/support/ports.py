"""Ports for programs that must be told theirs."""

from __future__ import annotations

import random
import socket
from typing import Final

_RANGE: Final = range(10_000, 32_768)
"""Below the ports that systems give to whoever asks for any: a server of another test never gets one of these."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on; drawn, so that tests side by side seldom get the same."""
    drawn = random.Random()  # of its own: tests seed the module's
    while True:
        port = drawn.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
