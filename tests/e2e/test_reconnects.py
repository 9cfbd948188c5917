"""A call of the Python client outlives a connection that breaks, and the next one that is reset as well.

So it is with a worker that is killed: its listener is there for a moment after its connections are gone.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from rerankd_client import AsyncRerankClient
from tests.support.server import ServerProcess

RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` with which `close` resets a connection."""


class Breaking:
    """Forwards connections to a server, and can break them; a context manager.

    Args:
        address: Of the server.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self.resets_left = 0
        self.connections = 0

    async def __aenter__(self) -> Breaking:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.break_all()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def break_all(self, further: int = 0) -> None:
        """Reset all connections, and the next ones, as many as `further`."""
        self.resets_left = further
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.resets_left:
            self.resets_left -= 1
            await reader.read(1)  # the client has begun to speak
            _reset(writer)
            return
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back]
        for source, target in ((reader, back), (there, writer)):
            pump = asyncio.create_task(_pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass
    writer.close()


async def test_a_call_outlives_two_connections(server: ServerProcess) -> None:
    async with Breaking(server.grpc_address) as between, AsyncRerankClient(between.address) as client:
        for _ in range(3):
            assert (await client.rerank("a", ["a", "b"], model="local/bm25")).results[0].index == 0
            seen = between.connections
            between.break_all(further=1)
            assert (await client.rerank("a", ["a", "b"], model="local/bm25")).results[0].index == 0
            assert between.connections == seen + 2
