"""A loopback HTTP server with scripted responses and scripted faults."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec


@dataclass(frozen=True, slots=True)
class Received:
    """A received request."""

    method: str
    path: str
    """Path and query string."""
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedResponse:
    """A response and the fault with which it is sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    body: bytes = b""
    stalls_after_bytes: int | None = None
    """Sends this many body bytes, then stalls until the client disconnects; -1: sends nothing at all."""
    breaks_after_bytes: int | None = None
    """Sends this many body bytes, then closes the connection; -1: resets it before the head."""
    delay_s: float = 0.0
    """Delay in seconds before the response."""
    byte_delay_s: float = 0.0
    """Delay in seconds before each body byte."""

    @classmethod
    def of_json(cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Build a response with a JSON body."""
        fields = {"content-type": "application/json", **(headers or {})}
        return cls(status=status, headers=fields, body=msgspec.json.encode(value))


Respond = Callable[[Received], ScriptedResponse]


class LoopbackServer:
    """Serves HTTP/1.1 on a free port of 127.0.0.1 while its context is open.

    Args:
        respond: Called with each request.
        tls: A server's context with a certificate; `None` for plain HTTP.
    """

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self._respond = respond
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self.received: list[Received] = []
        self.url = ""
        """Base URL, without a path; set when the context is entered."""
        self.connections = 0
        """Number of accepted connections."""
        self.first_request = asyncio.Event()
        """Set when the first complete request is received."""
        self.client_left = asyncio.Event()
        """Set when a client closes a connection with a stalled response."""
        self.clients_left = 0
        """Number of such connections."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        handler = asyncio.create_task(self._handle(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                self.first_request.set()
                if not await self._answer(self._respond(request), reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, answer: ScriptedResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Send a response; return whether the connection can be reused."""
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.breaks_after_bytes == -1:
            writer.transport.abort()
            return False
        if answer.stalls_after_bytes is None:
            await _send(answer, writer)
            return answer.breaks_after_bytes is None
        with suppress(ConnectionError):  # the client may leave before all is sent
            await _send(answer, writer)
            await reader.read()
        self.clients_left += 1
        self.client_left.set()
        return False


async def _send(answer: ScriptedResponse, writer: asyncio.StreamWriter) -> None:
    """Send as much of an answer as it says."""
    sent = next(
        (n for n in (answer.stalls_after_bytes, answer.breaks_after_bytes) if n is not None),
        len(answer.body),
    )
    if sent < 0:
        return
    head = [f"HTTP/1.1 {answer.status} Status", f"content-length: {len(answer.body)}"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
    pieces = [answer.body[:sent]] if not answer.byte_delay_s else [bytes([byte]) for byte in answer.body[:sent]]
    for piece in pieces:
        await asyncio.sleep(answer.byte_delay_s)
        writer.write(piece)
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)
