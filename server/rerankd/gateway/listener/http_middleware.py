"""HTTP middleware: content codings of requests and responses, and cross-origin headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from rerankd.contract.errors import Reason, ServiceError
from rerankd.gateway.asgi import Message, RawHeaders, Receive, Scope, Send
from rerankd.gateway.listener.compression import choose_coding, compress
from rerankd.gateway.listener.cross_origin import CrossOrigin
from rerankd.http.decompression import Decoder, UndecodableError, readable_coding
from rerankd.http.settings import ListenerSettings

_CLOSE: Final = (b"connection", b"close")
_FORWARDED: Final = frozenset({b"x-forwarded-for", b"forwarded"})
_READ: Final = frozenset({b"accept-encoding", b"content-encoding", b"origin", *_FORWARDED})
_VARY: Final = (b"vary", b"accept-encoding")


class HttpMiddleware:
    """ASGI middleware around the gateway. Safe for any number of requests of one event loop.

    Args:
        app: The wrapped application.
        options: Allowed origins and compression.
        on_forwarded: Called for a request that a proxy has forwarded.
    """

    def __init__(self, app: Any, options: ListenerSettings, on_forwarded: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self._on_forwarded = on_forwarded
        self._is_draining = False
        self._origins = CrossOrigin(options.allowed_origins)
        self._compress_from_bytes = options.compress_from_bytes
        self._max_expansion = options.max_expansion
        self._codings: dict[bytes, str | None] = {}

    def drain(self) -> None:
        """Close each connection after its next response, so that clients with pools go elsewhere before the end."""
        self._is_draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = encoding = None
        answer = _Answer(send)
        for name, value in scope["headers"]:
            if name not in _READ:
                continue
            if name == b"accept-encoding" and self._compress_from_bytes:
                answer.coding = self._coding(value)
            elif name == b"content-encoding":
                encoding = value
            elif name == b"origin":
                origin = value
            elif name in _FORWARDED:
                self._on_forwarded()
        answer.compress_from_bytes = self._compress_from_bytes
        answer.is_head = scope["method"] == "HEAD"
        if not self._origins.is_off:
            self._admit(scope, origin, answer)
        if self._is_draining:
            answer.headers = [*answer.headers, _CLOSE]
        if encoding is not None and (coding := readable_coding(encoding.decode("latin-1"))) is not None:
            headers = [header for header in scope["headers"] if header[0] != b"content-encoding"]
            scope, receive = {**scope, "headers": headers}, _DecodedBody(receive, coding, self._max_expansion).receive
        await self._app(scope, receive, answer.send)

    def _coding(self, accepted: bytes) -> str | None:
        """Negotiate the coding, cached by the header's value; at most 100 values are kept."""
        if accepted not in self._codings:
            if len(self._codings) >= 100:
                self._codings.clear()
            self._codings[accepted] = choose_coding(accepted.decode("latin-1"))
        return self._codings[accepted]

    def _admit(self, scope: Scope, origin: bytes | None, answer: _Answer) -> None:
        answer.headers = self._origins.headers(origin)
        asked = dict(scope["headers"])
        if origin is not None and scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            wanted = asked.get(b"access-control-request-headers")
            answer.preflight = lambda answered: self._origins.preflight(origin, wanted, answered)


class _Answer:
    """Wraps `send` of one request: adds CORS headers and compresses a body that is sent whole."""

    __slots__ = ("_send", "_started", "coding", "compress_from_bytes", "headers", "is_head", "preflight")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started: Message | None = None
        self.coding: str | None = None
        self.compress_from_bytes = 0
        self.is_head = False
        self.headers: RawHeaders = []
        self.preflight: Any = None

    async def send(self, message: Message) -> None:
        """Forward a message; the start is held back until the body, whose length decides whether it is compressed."""
        if message["type"] == "http.response.start":
            self._complete(message["headers"])
            self._started = message
            return
        started, self._started = self._started, None
        if started is not None:
            if self.coding is not None and not message.get("more_body", False):
                message = await self._compress(started["headers"], message)
            await self._send(started)
        await self._send(message)

    def _complete(self, headers: RawHeaders) -> None:
        if self.preflight is not None:
            headers.extend(self.preflight(headers))
        headers.extend(self.headers)

    async def _compress(self, headers: RawHeaders, message: Message) -> Message:
        position, length = _length(headers)
        if length < self.compress_from_bytes:
            return message
        headers.append(_VARY)
        if self.is_head:  # the compressed length of the GET response is unknown
            del headers[position]
            return message
        assert self.coding is not None  # noqa: S101 - checked by the caller
        body = await compress(message["body"], self.coding)
        headers[position] = (b"content-length", b"%d" % len(body))
        headers.append((b"content-encoding", self.coding.encode("ascii")))
        return {"type": "http.response.body", "body": body}


def _length(headers: RawHeaders) -> tuple[int, int]:
    """Return the position and value of `content-length`; 0, 0 if absent."""
    for position, (name, value) in enumerate(headers):
        if name == b"content-length":
            return position, int(value)
    return 0, 0


class _DecodedBody:
    """Wraps `receive` of a request whose body has a content coding."""

    def __init__(self, receive: Receive, coding: str, max_expansion: int) -> None:
        self._receive = receive
        self._coding = coding
        self._decoder = Decoder(coding, max_expansion)
        self._pieces: Iterator[bytes] = iter(())
        self._has_more = True
        self._is_over = False

    async def receive(self) -> Message:
        """Return the next piece of the decoded body, or another message of the connection.

        Raises:
            ServiceError: `INVALID_REQUEST` for a body that cannot be decoded; later messages are passed on unchanged.
        """
        while not self._is_over:
            if (piece := self._next()) is not None:
                await asyncio.sleep(0)  # a small body can expand to very many pieces: yield the event loop
                if not piece:
                    continue
                return {"type": "http.request", "body": piece, "more_body": True}
            if not self._has_more:
                self._end()
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._has_more = message.get("more_body", False)
            self._pieces = self._decoder.pieces(message.get("body", b""))
        return await self._receive()

    def _next(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except UndecodableError as error:
            self._is_over = True
            raise self._unreadable(error) from None

    def _end(self) -> None:
        self._is_over = True
        try:
            self._decoder.check_end()
        except UndecodableError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: UndecodableError) -> ServiceError:
        return ServiceError(
            Reason.INVALID_REQUEST,
            f"the body cannot be read as {self._coding}: {error}; send it as content-encoding says",
            metadata={"content-encoding": self._coding},
        )
