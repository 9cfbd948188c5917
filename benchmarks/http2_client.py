"""The client's side of gRPC over HTTP/2 without a library, so that load costs a tenth of what a client library does.

One header block is used for all calls, frames are cut by hand, and `grpc-status` of every call is read.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, cast

import hpack

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_FRAME_BYTES: Final = 16_384
_WINDOW: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65_535
_RENEW_BYTES: Final = 2**20


class CallFailedError(Exception):
    """A call failed, or the connection; the message says how."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Encode one frame."""
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


class Stream:
    """One HTTP/2 stream: what of its request is still to be sent, and what of an answer has come."""

    __slots__ = ("buffer", "ends", "number", "room", "taken", "waiting")

    def __init__(self, number: int, room: int) -> None:
        self.number = number
        self.room = room
        self.waiting = b""
        self.ends = False
        self.buffer = bytearray()
        self.taken = 0


class Connection(asyncio.Protocol):
    """Sends messages on streams and hands whole messages and ended streams to `on_message` and `on_end`."""

    def __init__(self, path: str, failed: Callable[[Exception], None]) -> None:
        self.on_message: Callable[[Stream, bytes], None] = lambda _stream, _message: None
        self.on_end: Callable[[Stream], None] = lambda _stream: None
        self._failed = failed
        self._streams: dict[int, Stream] = {}
        self._numbers: Iterator[int] = count(1, 2)
        self._room = self._stream_room = _FIRST_WINDOW
        self._taken = 0
        self._received = b""
        self._decoder = hpack.Decoder()
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "127.0.0.1",
            "content-type": "application/grpc",
            "te": "trailers",
            "user-agent": "rerankd-benchmarks",
        }
        # Never indexed, so that the same bytes are good for every stream.
        never_indexed = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields.items()]
        self._head = hpack.Encoder().encode(never_indexed, huffman=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface, with windows that never close."""
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HIHI", 2, 0, 4, _WINDOW)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0, settings)
        self._transport.write(preface + frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW - _FIRST_WINDOW)))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail when streams were open."""
        if self._streams:
            self._failed(CallFailedError(f"the connection was closed: {error}"))

    def open(self, message: bytes = b"", *, ends: bool) -> Stream:
        """Open a stream, with its first message."""
        number = next(self._numbers)
        stream = self._streams[number] = Stream(number, self._stream_room)
        self._transport.write(frame(_HEADERS, _END_HEADERS, number, self._head))
        self.send(stream, message, ends=ends)
        return stream

    def send(self, stream: Stream, message: bytes, *, ends: bool) -> None:
        """Send a message, or none where it is empty, as far as the windows allow now and the rest when they do."""
        if message:
            stream.waiting += struct.pack(">BI", 0, len(message)) + message
        stream.ends = stream.ends or ends
        self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        size = max(0, min(len(stream.waiting), stream.room, self._room))
        frames = []
        for start in range(0, size, _FRAME_BYTES):
            piece = stream.waiting[start : min(size, start + _FRAME_BYTES)]
            is_last = stream.ends and start + len(piece) == len(stream.waiting)
            frames.append(frame(_DATA, _END_STREAM * is_last, stream.number, piece))
        if stream.ends and not stream.waiting:
            frames.append(frame(_DATA, _END_STREAM, stream.number))
        stream.waiting = stream.waiting[size:]
        stream.room -= size
        self._room -= size
        self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        """Take the frames that are whole."""
        data = self._received + data
        start = 0
        while len(data) - start >= 9:
            end = start + 9 + int.from_bytes(data[start : start + 3])
            if len(data) < end:
                break
            number = int.from_bytes(data[start + 5 : start + 9])
            try:
                self._take(data[start + 3], data[start + 4], number, data[start + 9 : end])
            except CallFailedError as error:
                self._failed(error)
            start = end
        self._received = data[start:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(self._streams[number], payload)
        elif kind == _HEADERS:
            self._take_headers(self._streams[number], flags, payload)
        elif kind == _SETTINGS and not flags & _ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == 4:
                    for stream in self._streams.values():
                        stream.room += value - self._stream_room
                    self._stream_room = value
            self._transport.write(frame(_SETTINGS, _ACK, 0))
            self._flush_waiting()
        elif kind == _PING and not flags & _ACK:
            self._transport.write(frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            if number == 0:
                self._room += int.from_bytes(payload)
            elif number in self._streams:
                self._streams[number].room += int.from_bytes(payload)
            self._flush_waiting()
        elif kind in (_RESET, _GOAWAY):
            raise CallFailedError(f"the server reset stream {number}: {payload!r}")

    def _flush_waiting(self) -> None:
        for stream in self._streams.values():
            if stream.waiting:
                self._flush(stream)

    def _take_data(self, stream: Stream, payload: bytes) -> None:
        self._taken += len(payload)
        stream.taken += len(payload)
        if self._taken > _RENEW_BYTES:
            self._transport.write(frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._taken)))
            self._taken = 0
        if stream.taken > _RENEW_BYTES:
            self._transport.write(frame(_WINDOW_UPDATE, 0, stream.number, struct.pack(">I", stream.taken)))
            stream.taken = 0
        buffer = stream.buffer
        buffer += payload
        while len(buffer) >= 5 and len(buffer) >= (end := 5 + int.from_bytes(buffer[1:5])):
            message = bytes(buffer[5:end])
            del buffer[:end]
            self.on_message(stream, message)

    def _take_headers(self, stream: Stream, flags: int, payload: bytes) -> None:
        fields = dict(self._decoder.decode(payload, raw=True))
        status, code = fields.get(b":status", b"200"), fields.get(b"grpc-status", b"0")
        if status != b"200" or code != b"0":
            message = fields.get(b"grpc-message", b"")
            raise CallFailedError(f"HTTP {status.decode()}, gRPC {code.decode()}: {message.decode()}")
        if flags & _END_STREAM:
            del self._streams[stream.number]
            self.on_end(stream)
