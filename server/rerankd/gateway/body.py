"""Reads request bodies: whole, within a size limit, or as a stream of lines with flow control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from rerankd.contract.errors import ServiceError
from rerankd.gateway.asgi import Receive
from rerankd.gateway.decoding import decode_json
from rerankd.gateway.refusal import ClientGoneError, payload_too_large


async def read_body(receive: Receive, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """Read a whole body; a `content-length` over the limit is refused before reading.

    Raises:
        HttpRefusalError: 413.
        ClientGoneError: The client disconnected before the end of the body.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > len(str(max_bytes)) or int(declared) > max_bytes):
        raise payload_too_large("the body", max_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise payload_too_large("the body", max_bytes)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


class RequestLines:
    """The messages of an NDJSON body, read from the connection only as fast as they are consumed.

    One piece of the body is read ahead, so that a disconnect is noticed while responses are computed. A decoding
    error ends the messages and is kept in `failure`; messages before it are still yielded.
    """

    def __init__(self, receive: Receive, message_type: type[Any], max_line_bytes: int) -> None:
        self._receive = receive
        self._message_type = message_type
        self._max_line_bytes = max_line_bytes
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._broken: ServiceError | None = None
        self.taken = 0
        """Number of messages yielded."""
        self.failure: ServiceError | None = None
        """The error that ended the messages before the end of the body."""

    async def pump(self) -> None:
        """Feed the body to `messages`; returns when the client disconnects."""
        while True:
            try:
                message = await self._receive()
            except ServiceError as error:  # raised by HttpMiddleware for a broken content coding
                self._broken = error
                await self._pieces.put(None)
                continue
            if message["type"] == "http.disconnect":
                return
            if self._broken is not None:
                continue
            if piece := message.get("body", b""):
                await self._pieces.put(piece)
            if not message.get("more_body", False):
                await self._pieces.put(None)

    async def messages(self) -> AsyncIterator[Any]:
        """Yield one decoded message per non-empty line. `pump` must be running."""
        number = 0
        try:
            async for line in self._lines():
                number += 1
                if not line.strip():
                    continue
                message = decode_json(line, self._message_type, f"line {number}")
                self.taken += 1
                yield message
            if self._broken is not None:
                raise self._broken
        except ServiceError as error:
            self.failure = error

    async def _lines(self) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        size = 0
        while (piece := await self._pieces.get()) is not None:
            *ends, rest = piece.split(b"\n")
            for end in ends:
                self._check_size(size + len(end))
                yield b"".join((*parts, end))
                parts.clear()
                size = 0
            parts.append(rest)
            size += len(rest)
            self._check_size(size)
        if size:
            yield b"".join(parts)

    def _check_size(self, size: int) -> None:
        if size > self._max_line_bytes:
            raise payload_too_large("a line", self._max_line_bytes)
