"""An HTTP/2 server with TLS on the loopback interface, on h2, that answers in rounds."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset


class Http2Server:
    """Answers every request with its own body once `together` requests wait, the last one first.

    Args:
        context: With a certificate; offers `h2` alone.
        together: How many streams must be open at once before any is answered; 0 leaves them all open.
    """

    def __init__(self, context: ssl.SSLContext, together: int = 1) -> None:
        context.set_alpn_protocols(["h2"])
        self._context = context
        self.together = together
        self.port = 0
        self.connections: list[str | None] = []
        """What ALPN chose on each connection."""
        self.requests: asyncio.Queue[bytes] = asyncio.Queue()
        """Body of every request."""
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        self._writers.append(writer)
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        waiting: list[int] = []
        writer.write(connection.data_to_send())
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    self._take(connection, event, bodies, waiting)
                if self.together and len(waiting) >= self.together:
                    while waiting:
                        _answer(connection, waiting[-1], bodies.pop(waiting.pop()))
                writer.write(connection.data_to_send())
        except ConnectionError:
            writer.close()

    def _take(self, connection: H2Connection, event: Event, bodies: dict[int, bytes], waiting: list[int]) -> None:
        if isinstance(event, RequestReceived):
            bodies[event.stream_id] = b""
        elif isinstance(event, DataReceived):
            bodies[event.stream_id] += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            waiting.append(event.stream_id)
            self.requests.put_nowait(bodies[event.stream_id])
        elif isinstance(event, StreamReset):
            waiting.remove(event.stream_id)


def _answer(connection: H2Connection, stream: int, body: bytes) -> None:
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
    connection.send_data(stream, body, end_stream=True)
