"""One HTTP connection: uvicorn's protocol within bounds of head, time and pipelining.

uvicorn's protocol joins the pieces of a URL, and httptools those of a header, one by one, so that one without end costs
the square of its length. It waits without end for a head, and for a client to read its answers, and it makes a queue of
all pipelined requests that one read of the socket holds.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rerankd.contract.call_context import usable_request_id
from rerankd.contract.errors import Reason
from rerankd.gateway.client_certificate import tls_extension
from rerankd.gateway.listener.connection_limit import ConnectionLimit
from rerankd.gateway.listener.response_transport import ResponseTransport
from rerankd.gateway.refusal import HttpRefusalError, render_headers, superset_body
from rerankd.http.settings import ListenerSettings

_REASONS: Final = {429: Reason.OVERLOADED, 503: Reason.OVERLOADED}


class _RefusedError(Exception):
    """Stops the parser; the connection is closed with `status`, or without an answer."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection of the HTTP listener; `protocol_of` makes the class for one listener."""

    options: ClassVar[ListenerSettings]
    limit: ClassVar[ConnectionLimit]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._address: str | None = None
        """Of the client, once the connection is counted."""
        self._started_scope: object = None
        """Scope of the last request whose head is complete; `self.scope` is a newer one while a head comes in."""
        self._extensions: dict[str, object] | None = None
        """Of the scope of each request: what TLS says of the client."""
        self._barren_bytes = 0
        """Bytes read since the last complete head or part of a body: heads, trailers, chunk extensions."""
        self._refusal: tuple[int, str] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection, or refuse it."""
        super().connection_made(transport)
        self._extensions = tls_extension(transport)
        address = self.client[0] if self.client else ""
        limit = self.limit.enter(address)
        if limit is None:
            self._address = address
            self._watch_head()
        elif limit == "max_connections":
            self._answer(503, "this server has as many connections as it takes; try again shortly")
        else:
            most = self.options.max_connections_per_address
            self._answer(429, f"{address} has {most} connections, as many as this server takes from one address")

    def connection_lost(self, exc: Exception | None) -> None:
        """Uncount the connection."""
        if self._address is not None:
            self.limit.leave(self._address)
            self._address = None
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; a request that arrives in one piece sets no timer."""
        self._barren_bytes += len(data)
        super().data_received(data)
        if self.scope is not self._started_scope or (cycle := self.cycle) is None or cycle.response_complete:
            self._watch_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._barren_bytes > self.options.max_head_bytes:
            self._end(*self._head_excess())

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind those before, within the limits of heads and of pipelining."""
        options = self.options
        if (
            self._barren_bytes > options.max_url_bytes
            or len(self.headers) > options.max_headers
            or len(self.pipeline) >= options.max_pipelined
        ):
            self._check_head()
        self._started_scope = self.scope
        if self._extensions is not None:
            self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item] # its values are dicts of objects
        self._barren_bytes = 0
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not None and cycle.scope["method"] != "HEAD":  # whose responses have nothing that follows the head
            cycle.transport = ResponseTransport(self.transport)  # type: ignore[assignment]  # has all that a cycle uses

    def _check_head(self) -> None:
        """Stop the parser where the head that is complete now, or the requests that wait, exceed a limit."""
        options = self.options
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > options.max_url_bytes or head_bytes > options.max_head_bytes:
            raise self._refused(*self._head_excess())
        if len(self.headers) > options.max_headers:
            raise self._refused(431, f"there are more than {options.max_headers} headers")
        if len(self.pipeline) >= options.max_pipelined:
            raise self._refused(429, f"more than {options.max_pipelined} requests wait on this connection")

    def _head_excess(self) -> tuple[int, str]:
        options = self.options
        if self.scope is not None and len(self.url) > options.max_url_bytes:
            return 414, f"the URL is longer than {options.max_url_bytes} bytes"
        return 431, f"the head is larger than {options.max_head_bytes} bytes"

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._barren_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        self._barren_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Start the write timeout of a client that has stopped reading."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.options.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the write timeout and continue."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the name is uvicorn's
        """Answer an invalid request with an error in JSON, and close the connection."""
        self._end(*(self._refusal or (400, "the request is not valid HTTP/1.1")))

    def _end(self, status: int, message: str) -> None:
        """Refuse a request whose head is not complete; where an answer to an earlier one is due, close instead."""
        if self.transport.is_closing():
            return
        self.limit.refusals.note(str(status), self.client[0] if self.client else "", status=status, problem=message)
        if self._is_answered():
            self._answer(status, message)
        else:
            self._close()

    def _is_answered(self) -> bool:
        """Whether every request that was read has been answered."""
        return self.cycle is None or self.cycle.response_complete

    def _refused(self, status: int, message: str) -> _RefusedError:
        self._refusal = (status, message)
        return _RefusedError(message)

    def _watch_head(self) -> None:
        """Start the timeout of the request head that is being received or awaited."""
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.options.header_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.scope is not self._started_scope:
            self._end(408, f"the head did not come within {self.options.header_timeout_s:g} seconds")
        else:
            self._close()

    def _answer(self, status: int, message: str) -> None:
        """Send an error that belongs to no complete request, and close the connection."""
        error = HttpRefusalError(_REASONS.get(status, Reason.INVALID_REQUEST), message, status=status)
        request_id = usable_request_id(None)
        body = msgspec.json.encode(superset_body(error, request_id))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode("ascii")),
            *render_headers(error),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[status], lines, body))
        self._close()

    def _close(self) -> None:
        """Close the connection when its write buffer is sent, or after a timeout."""
        self.transport.close()
        self._stop_timers()
        self._write_timer = self.loop.call_later(self.options.write_timeout_s, self.transport.abort)

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = None


def protocol_of(options: ListenerSettings, limit: ConnectionLimit) -> type[BoundedProtocol]:
    """Make the class of connections of one listener."""
    return type("ListenerProtocol", (BoundedProtocol,), {"options": options, "limit": limit})
