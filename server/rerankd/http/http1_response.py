"""Reads one HTTP/1.1 response from the bytes of a connection."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from rerankd.http.decompression import Decoder, UndecodableError, readable_coding
from rerankd.http.transport import check_announced_size, too_large, undecodable, unreachable
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpResponse

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest head, and most bytes in a row that are no body: interim heads, trailers, chunk extensions."""


class _EnoughError(Exception):
    """Stops the parser after a complete response."""


class ResponseReader:
    """Reads one response of any framing, without interim ones. The parser calls the `on_` methods.

    Args:
        max_bytes: Of the body, decompressed.
        is_head: Whether the response has no body, whatever its headers say.
    """

    __slots__ = (
        "_body",
        "_bytes_without_body",
        "_decoder",
        "_fields",
        "_head_bytes",
        "_headers",
        "_is_head",
        "_is_whole",
        "_max_bytes",
        "_parser",
        "_size",
        "_status",
        "is_last",
    )

    def __init__(self, max_bytes: int, *, is_head: bool) -> None:
        self._max_bytes = max_bytes
        self._is_head = is_head
        self._parser = HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._bytes_without_body = 0
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._decoder: Decoder | None = None
        self._body: io.BytesIO | None = None
        self._size = 0
        self._is_whole = False
        self.is_last = False
        """Whether the connection cannot be reused after the response; known when that is complete."""

    @property
    def has_begun(self) -> bool:
        """Whether a byte of it was received."""
        return bool(self._bytes_without_body or self._status)

    def feed(self, data: bytes) -> bool:
        """Parse received bytes; return whether the response is complete.

        Raises:
            AdapterError: `BAD_RESPONSE` for one that is too large or wrongly compressed, `UNAVAILABLE` for what is
                not HTTP.
        """
        size = self._size
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._is_whole:
                raise _explained(error) from None
            self.is_last = True  # something follows that nobody asked for
        if self._size != size:
            self._bytes_without_body = 0
        elif not self._is_whole:
            self._bytes_without_body += len(data)
            if self._bytes_without_body > MAX_HEAD_BYTES:
                raise _head_too_large()
        return self._is_whole

    def end(self) -> bool:
        """Note the end of the connection; return whether it completes the response."""
        self.is_last = True
        is_chunked = "chunked" in self._headers.get("transfer-encoding", "").lower()
        return bool(self._status) and "content-length" not in self._headers and not is_chunked

    def response(self) -> HttpResponse:
        """Return the response, which must be complete.

        Raises:
            AdapterError: `BAD_RESPONSE` for one whose compressed body is cut off.
        """
        try:
            if self._decoder is not None:
                self._decoder.check_end()
        except UndecodableError:
            raise undecodable() from None
        return HttpResponse(
            status=self._status,
            headers=self._headers,
            body=b"" if self._body is None else self._body.getvalue(),
            received_unix_s=time.time(),
        )

    def close(self) -> None:
        """Break the reference cycle of parser and reader."""
        del self._parser

    def on_message_begin(self) -> None:
        """Refuse a second response."""
        if self._is_whole:
            raise _EnoughError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header of the head or of a trailer."""
        self._fields.append((name, value))
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Note the end of the head; discard an interim one."""
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _head_too_large()
        status = self._parser.get_status_code()
        if status < 200:
            self._fields.clear()
            return
        self._status = status
        headers = self._headers = {
            name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in self._fields
        }
        if self._is_head:
            self._is_whole = True
            raise _EnoughError
        check_announced_size(headers, self._max_bytes)
        if "content-encoding" in headers and (coding := readable_coding(headers["content-encoding"])):
            self._decoder = Decoder(coding)

    def on_body(self, piece: bytes) -> None:
        """Decompress and keep a piece of the body."""
        if not self._status:
            raise unreachable("not HTTP: an interim response with a body")
        if self._decoder is None:
            self._keep(piece)
            return
        try:
            for part in self._decoder.pieces(piece):
                self._keep(part)
        except UndecodableError:
            raise undecodable() from None

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        if self._status:
            self._is_whole = True
            self.is_last = not self._parser.should_keep_alive()

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._body is None:
            self._body = io.BytesIO(piece)  # shares the bytes
            self._body.seek(0, io.SEEK_END)
        else:
            self._body.write(piece)


def _head_too_large() -> AdapterError:
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, f"the response's head is larger than {MAX_HEAD_BYTES} bytes")


def _explained(error: Exception) -> AdapterError:
    """Return the exception of a callback, else an error for the parser's."""
    if isinstance(error.__context__, AdapterError):
        return error.__context__
    return unreachable(f"not HTTP: {error}" if isinstance(error, HttpParserError) else "another protocol was offered")
