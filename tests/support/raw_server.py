"""A server that speaks HTTP/1.1, over TCP or TLS, byte by byte as a test says, to see what a client makes of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Peer:
    """One connection, as the server has it."""

    number: int
    """How many came before it."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies that were read whole."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client closed, or reset, the connection after the script was done with it."""

    async def request(self) -> bytes:
        """Read one request, head and body."""
        head = await self.head()
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        self.requests.append(head + await self.reader.readexactly(int(length or b"0")))
        return self.requests[-1]

    async def head(self) -> bytes:
        """Read the head of a request alone."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each for itself as far as that can be."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.002)

    def close(self) -> None:
        """Close the connection in good order."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection."""
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Runs `script` with every connection; when it is over, waits until the client leaves.

    Args:
        script: What to do with a connection.
        host: Address to listen on.
        tls: With a certificate; `None` for plain TCP.
        port: 0 for a free one; `port` is the chosen one once the context is entered.
    """

    def __init__(
        self, script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self._tls = tls
        self._script = script
        self._host = host
        self.port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.peers: list[Peer] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        task = asyncio.create_task(self._serve(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: Peer) -> None:
        try:
            await self._script(peer)
            while await peer.reader.read(65536):
                pass
            peer.left.set()
        except (ConnectionError, asyncio.IncompleteReadError, RuntimeError):  # the last is uvloop's for a closed one
            peer.left.set()
        finally:
            peer.writer.close()


def always(*pieces: bytes) -> Script:
    """Answer every request of every connection with the same pieces."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(*pieces)

    return script
