"""Writes one HTTP response: whole, or line by line."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.gateway.asgi import Message, RawHeaders, Send
from rerankd.gateway.refusal import render_headers, superset_body

_JSON: Final = b"application/json"
_NDJSON: Final = (b"content-type", b"application/x-ndjson")
_encode: Final = msgspec.json.Encoder().encode


class Refuses(Protocol):
    """The form of errors in one dialect."""

    def status(self, error: ServiceError) -> int:
        """Return the HTTP status."""
        ...

    def refusal(self, error: ServiceError, request_id: str) -> object:
        """Build the body."""
        ...

    def refusal_headers(self, error: ServiceError) -> RawHeaders:
        """List headers in addition to those of every error."""
        ...


class PlainRefusal:
    """The form of errors outside of any dialect."""

    def status(self, error: ServiceError) -> int:
        """Return the HTTP status of the error's code."""
        return error.http_status

    def refusal(self, error: ServiceError, request_id: str) -> object:
        """Build a body that all clients can read."""
        return superset_body(error, request_id)

    def refusal_headers(self, _error: ServiceError) -> RawHeaders:
        """Return no headers."""
        return []


_PLAIN: Final = PlainRefusal()


class ResponseWriter:
    """Writes the response to one request. For one task."""

    def __init__(self, send: Send, request_id: str, *, is_head: bool) -> None:
        self._send = send
        self._is_head = is_head
        self._id_header = (b"x-request-id", request_id.encode("latin-1"))
        self.request_id = request_id
        self.is_started = False
        """Whether status and headers were sent."""
        self.status = 0
        """The status that was sent; 0 before that."""
        self.route = ""
        """Path template of the request's route, once it is known."""
        self._is_ended = False
        self.dialect: Refuses = _PLAIN
        """Form of errors; replaced once the dialect is known."""

    async def reply(
        self, status: int, body: bytes, headers: RawHeaders | None = None, content_type: bytes = _JSON
    ) -> None:
        """Send a whole response; for HEAD without its body."""
        media = (b"content-type", content_type)
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [media, length, self._id_header, *(headers or ())])
        await self._end(b"" if self._is_head else body)

    async def reply_empty(self, headers: RawHeaders) -> None:
        """Send 204 with these headers."""
        await self._start(204, [self._id_header, *headers])
        await self._end(b"")

    async def start_lines(self) -> None:
        """Send status and headers of an NDJSON response."""
        await self._start(200, [_NDJSON, self._id_header])

    async def send_line(self, line: bytes) -> None:
        """Send one line; waits until the connection can take more (backpressure)."""
        await self._send({"type": "http.response.body", "body": line + b"\n", "more_body": True})

    async def end_lines(self) -> None:
        """End an NDJSON response."""
        await self._end(b"")

    async def forward(self, message: Message) -> None:
        """Send an ASGI message of the mounted application; adds the request id, drops the body for HEAD."""
        if message["type"] == "http.response.start":
            await self._start(message["status"], [*message["headers"], self._id_header])
        elif message.get("more_body", False):
            await self._send({**message, "body": b""} if self._is_head else message)
        else:
            await self._end(b"" if self._is_head else message["body"])

    async def refuse(self, error: ServiceError) -> None:
        """Send an error: as the response, or as the last line if lines were sent already."""
        body = _encode(self.dialect.refusal(error, self.request_id))
        if not self.is_started:
            headers = [*render_headers(error), *self.dialect.refusal_headers(error)]
            await self.reply(self.dialect.status(error), body, headers)
        elif not self._is_ended:
            await self._end(body + b"\n")

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self.is_started = True
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _end(self, body: bytes) -> None:
        self._is_ended = True
        await self._send({"type": "http.response.body", "body": body})
