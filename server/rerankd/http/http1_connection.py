"""One HTTP/1.1 client connection on the event loop: one request and response at a time, with timeouts."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rerankd.http.http1_response import ResponseReader
from rerankd.http.tls import explain
from rerankd.http.transport import timed_out, unreachable
from rerankd_adapters.base import AdapterError, HttpResponse

_JOINED_BYTES: Final = 16 * 1024
"""A body up to this size is copied behind its head, for one write; a longer one is written uncopied."""

_TLS_WRITE_BYTES: Final = 64 * 1024
"""A longer body is written over TLS in pieces: the loop's TLS encrypts whatever one write brings, and counts as unsent
only what came after its socket was full."""

Outcome = HttpResponse | AdapterError | None
"""Outcome of a request; `None`: a reused connection broke before the first byte of the response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of a response."""

    silence_s: float
    """Longest time without received bytes."""
    body_bytes: int
    """Largest body, decompressed."""


class Connection(asyncio.Protocol):
    """Serves one request at a time.

    Args:
        loop: The event loop.
        bounds: Of responses.
        on_free: Called with the connection when another request can be sent, but for the first.
        on_lost: Called with the connection when it is gone, once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bounds: Bounds,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._bounds = bounds
        self._on_free = on_free
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._tls: ssl.SSLObject | None = None
        self._has_served = False
        self._future: asyncio.Future[Outcome] | None = None
        """Of the current request, as the next three are."""
        self._reader: ResponseReader
        self._timer: asyncio.TimerHandle
        self._timeout_s = self._deadline_s = 0.0
        self.heard_s = 0.0
        """When bytes were last received or sent, on the loop's clock."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return not self._transport.is_closing()

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The session of TLS, which the server may resume once it has sent something; `None` without TLS."""
        return None if self._tls is None else self._tls.session

    def start(
        self, head: bytes, body: bytes, timeout_s: float, deadline_s: float, *, is_head: bool
    ) -> asyncio.Future[Outcome]:
        """Send a request; the connection must be open, and no other one under way.

        Args:
            head: With the empty line at its end.
            body: Not copied when it is long.
            timeout_s: Seconds the caller gave, for an error's message.
            deadline_s: When they are over, on the loop's clock.
            is_head: Whether the response has no body, whatever its headers say.

        Returns:
            What comes of it, never an exception. `give_up` closes the connection when nobody waits any more.
        """
        future = self._future = self._loop.create_future()
        self._reader = ResponseReader(self._bounds.body_bytes, is_head=is_head)
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self.heard_s = self._loop.time()
        self._set_timer(self.heard_s)
        if len(body) <= _JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._write_long(body)
        return future

    def _write_long(self, body: bytes) -> None:
        if self._tls is None:
            self._transport.write(body)
            return
        view = memoryview(body)
        for begin in range(0, len(body), _TLS_WRITE_BYTES):
            self._transport.write(view[begin : begin + _TLS_WRITE_BYTES])

    def give_up(self, future: asyncio.Future[Outcome]) -> None:
        """Close the connection, unless the request of `future` has ended and it may serve another."""
        if self._future is future:
            self.abort(None)

    def abort(self, outcome: Outcome) -> None:
        """Close the connection at once; a request under way ends with `outcome`."""
        self._transport.abort()
        if self._future is not None:
            self._end(self._future, outcome)

    def close(self) -> None:
        """Close the connection in good order, over TLS with its closing alert; no request may be under way."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]  # that of a stream
        self._tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`; unexpected bytes close the connection."""
        if self._future is None:
            self._transport.abort()
            return
        self.heard_s = self._loop.time()
        try:
            if self._reader.feed(data):
                self._finish(self._future)
        except AdapterError as error:
            self.abort(error)

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; the connection closes itself afterwards."""
        if self._future is not None and self._reader.end():
            try:
                self._finish(self._future)
            except AdapterError as error:
                self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._future is not None:
            is_unheard = self._has_served and not self._reader.has_begun
            self._end(self._future, None if is_unheard else unreachable(_cause(exc)))
        self._on_lost(self)

    def _finish(self, future: asyncio.Future[Outcome]) -> None:
        """End the request with its response; a server may answer before it has read the whole body."""
        response = self._reader.response()
        is_free = not (self._reader.is_last or self._transport.get_write_buffer_size())
        if not is_free:
            self._transport.abort()
        self._end(future, response)
        if is_free:
            self._on_free(self)

    def _end(self, future: asyncio.Future[Outcome], outcome: Outcome) -> None:
        self._future = None
        self._has_served = True
        self._timer.cancel()
        self._reader.close()
        del self._reader
        if not future.done():
            future.set_result(outcome)

    def _set_timer(self, now_s: float) -> None:
        wait_s = min(self._deadline_s, self.heard_s + self._bounds.silence_s) - now_s
        self._timer = self._loop.call_later(wait_s, self._look_at_clock)

    def _look_at_clock(self) -> None:
        """Timer callback: end the request at its deadline or after too long a silence, else set the timer again."""
        now_s = self._loop.time()
        if now_s >= self._deadline_s:
            self.abort(timed_out(self._timeout_s))
        elif now_s >= self.heard_s + self._bounds.silence_s:
            self.abort(unreachable("the provider was silent for too long"))
        else:
            self._set_timer(now_s)


def _cause(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLError):
        return explain(error, "the server")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it was closed before the response was whole" if error is None else type(error).__name__
