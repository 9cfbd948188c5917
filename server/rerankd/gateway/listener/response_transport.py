"""What one response is written to: its head and what follows it go to the socket together."""

from __future__ import annotations

import asyncio
from typing import Final

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ResponseTransport:
    """Holds the head of a response back until the next write, which uvicorn makes of what follows at once.

    Head and body are then one system call, one packet if they are short, and wake the client once. Not for the response
    to a `HEAD` request, which has nothing that follows. Has what uvicorn's `RequestResponseCycle` uses of a transport.

    Args:
        transport: Of the connection.
    """

    __slots__ = ("_has_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._has_begun = False
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write or hold back the next bytes."""
        if self._has_begun:
            head, self._head = self._head, None
            if head is None:
                self._transport.write(data)
            else:
                self._transport.writelines((head, data))
        elif data == _CONTINUE:
            self._transport.write(data)
        else:
            self._has_begun = True
            self._head = data

    def is_closing(self) -> bool:
        """Whether the connection is closed, or is about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection when everything is sent, also a head that is held back."""
        if self._head is not None:
            self._transport.write(self._head)
            self._head = None
        self._transport.close()
