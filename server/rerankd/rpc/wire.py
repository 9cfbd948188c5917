"""Reads protobuf messages on the wire: counts documents, and cuts them out, before anything is made of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from rerankd.engine.limits import too_many_documents
from rerankd.engine.time_slice import TimeSlice

_VARINT: Final = 0
_LENGTH: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Bytes of the kinds of fields that have a fixed width."""
_RUN_BYTES: Final = 64 * 1024
"""Decoding as much takes up to 4 ms, of objects of fields."""
_RUN_DOCUMENTS: Final = 1000
_FIELDS_A_LOOK: Final = 500
"""Fields between two checks of the clock; they take up to 0.5 ms."""


class CutMessage(NamedTuple):
    """A message and its documents, apart."""

    rest: bytes
    """The message without documents."""
    runs: list[tuple[int, int]]
    """Start and end of neighbouring documents, in bytes of the message: each a few, in order. Together with their tags
    they are a message of the type that has the documents, with nothing else in it."""


async def cut_documents(data: bytes, path: tuple[int, ...], most: int) -> CutMessage:
    """Cut the documents out of a message; the event loop is yielded every millisecond.

    Args:
        data: A protobuf message.
        path: Numbers of the fields that lead to the documents, and their own.
        most: Documents of a call.

    Raises:
        ServiceError: `TOO_MANY_DOCUMENTS`.
        DecodeError: The message is not valid, or has a group, which no version of ours has.
    """
    cutter = _Cutter(data, most)
    try:
        rest = await cutter.cut(0, len(data), path)
    except IndexError:
        raise DecodeError("a number without an end") from None
    return CutMessage(rest, cutter.runs)


class _Cutter:
    """State of cutting one message."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._most = most
        self._count = 0
        self._in_run = 0
        self._fields = 0
        self._time_slice = TimeSlice()
        self.runs: list[tuple[int, int]] = []
        """See `CutMessage`."""

    async def cut(self, start: int, end: int, path: tuple[int, ...]) -> bytes:
        """Return the message between two positions without what is at a path in it."""
        data = self._data
        parts: list[bytes] = []
        kept = position = start
        while position < end:
            self._fields += 1
            if self._fields % _FIELDS_A_LOOK == 0 and self._time_slice.is_over():
                await self._time_slice.rest()
            tag, after_tag = _varint(data, position)
            content, stop = _content(data, tag, after_tag)
            if stop > end:
                raise DecodeError("a field without an end")
            if tag >> 3 == path[0] and tag & 7 == _LENGTH:
                parts.append(data[kept:position])
                kept = stop
                if len(path) == 1:
                    self._add(position, stop)
                else:
                    inner = await self.cut(content, stop, path[1:])
                    parts += data[position:after_tag], _encoded(len(inner)), inner
            position = stop
        parts.append(data[kept:end])
        return b"".join(parts)

    def _add(self, start: int, stop: int) -> None:
        self._count += 1
        if self._count > self._most:
            raise too_many_documents(self._most)
        self._in_run += 1
        if self.runs:
            first, last = self.runs[-1]
            if last == start and stop - first <= _RUN_BYTES and self._in_run <= _RUN_DOCUMENTS:
                self.runs[-1] = (first, stop)
                return
        self._in_run = 1
        self.runs.append((start, stop))


def check_documents(data: bytes, path: tuple[int, ...], most: int, name: str = "documents") -> None:
    """Refuse a message with too many documents before anything is made of it.

    Every document has its field's tag, which is a control character in texts: counting that byte takes a millisecond,
    and mostly tells that all is well.

    Args:
        data: A protobuf message.
        path: See `count_fields`.
        most: Documents of a call.
        name: Of the documents, in the error.

    Raises:
        ServiceError: `TOO_MANY_DOCUMENTS`.
    """
    tag = bytes([path[-1] << 3 | _LENGTH])
    if data.count(tag) > most and count_fields(data, path, most) > most:
        raise too_many_documents(most, name)


def count_fields(data: bytes, path: tuple[int, ...], most: int) -> int:
    """Count the fields at a path of field numbers on the wire; stop beyond `most`, or where the bytes are not valid.

    Args:
        data: A protobuf message.
        path: Numbers of the fields that lead to the counted one, and its own.
        most: Where to stop.
    """
    return _count(data, 0, len(data), path, most)


def _count(data: bytes, position: int, end: int, path: tuple[int, ...], most: int) -> int:
    count = 0
    try:
        while position < end and count <= most:
            tag, position = _varint(data, position)
            content, stop = _content(data, tag, position)
            if tag >> 3 == path[0] and tag & 7 == _LENGTH:
                last = min(stop, end)
                count += 1 if len(path) == 1 else _count(data, content, last, path[1:], most - count)
            position = stop
    except (IndexError, DecodeError):
        return count
    return count


def _content(data: bytes, tag: int, position: int) -> tuple[int, int]:
    """Return where the content of a field begins and where it ends, from the position behind its tag."""
    kind = tag & 7
    if kind == _LENGTH:
        length, position = _varint(data, position)
        return position, position + length
    if kind == _VARINT:
        return position, _varint(data, position)[1]
    if kind not in _FIXED:
        raise DecodeError("a group")
    return position, position + _FIXED[kind]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, position
        shift += 7


def _encoded(number: int) -> bytes:
    """Return a number as a varint."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
