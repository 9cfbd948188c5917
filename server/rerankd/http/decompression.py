"""Undoing content codings of HTTP bodies, gzip and zstd, within bounds."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: Final = ("zstd", "gzip")
"""What is read and written, the one we like best first."""
ALIASES: Final = {"x-gzip": "gzip"}
"""Other names of codings."""
_PIECE_BYTES: Final = 256 * 1024
_FED_BYTES: Final = 16 * 1024
"""What a member is given at once: it copies what it leaves unread."""
_FREE_MEMBERS: Final = 1000
_BYTES_A_MEMBER: Final = 1024
"""Members beyond the free ones must hold so much on average: an empty one costs 5 us and 20 bytes."""
_FREE_BYTES: Final = 2**20
"""Neither the ratio nor what stands for nothing counts below this."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_OPTIONS: Final = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB, what RFC 9659 lets senders use


class UndecodableError(ValueError):
    """A body is not coded as its header says; the text says what is wrong."""


class _Inflater(Protocol):
    """Undoes one member of a coding."""

    eof: bool
    unused_data: bytes

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, a bounded piece at a time."""


class _Gunzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if piece := self._inner.decompress(data, _PIECE_BYTES):
                yield piece
            data = self._inner.unconsumed_tail


class _Unzstd:
    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while not self._inner.eof:
            if piece := self._inner.decompress(data, _PIECE_BYTES):
                yield piece
            data = b""
            if self._inner.needs_input:
                return


_INFLATERS: Final[Mapping[str, Callable[[], Any]]] = {"gzip": _Gunzip, "zstd": _Unzstd}


def readable_coding(declared: str) -> str | None:
    """Return the coding that `content-encoding` names where it is one of ours, else None."""
    coding = declared.strip().lower()
    coding = ALIASES.get(coding, coding)
    return coding if coding in _INFLATERS else None


class Decoder:
    """Undoes a content coding piece by piece, so that nobody holds more than one piece of a bomb.

    Args:
        coding: One of `CODINGS`.
        max_ratio: How many bytes one coded byte may stand for on average, once 1 MiB was decoded; 0 for any number.
    """

    def __init__(self, coding: str, max_ratio: int = 0) -> None:
        self._make = _INFLATERS[coding]
        self._member: _Inflater = self._make()
        self._is_fresh = True
        self._max_ratio = max_ratio
        self._members = 0
        self._coded_bytes = 0
        self._decoded_bytes = 0
        self._barren_bytes = 0
        """Coded bytes since the last one that stood for something."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, at most 256 KiB at a time; empty pieces are where the caller can yield.

        Raises:
            UndecodableError: For bytes that are not of the coding, or stand for too much or too little.
        """
        for start in range(0, len(data), _FED_BYTES):
            fed = data[start : start + _FED_BYTES]
            self._coded_bytes += len(fed)
            self._barren_bytes += len(fed)
            try:
                for piece in self._feed(fed):
                    self._check(piece)
                    yield piece
            except (zlib.error, zstd.ZstdError):
                raise UndecodableError("it is not valid") from None
            self._check(b"")

    def _feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._is_fresh = False
            yield from self._member.pieces(data)
            if not self._member.eof:
                return
            data = self._member.unused_data
            self._member = self._make()
            self._members += 1
            self._is_fresh = True
            yield b""

    def _check(self, piece: bytes) -> None:
        """Count a piece.

        Raises:
            UndecodableError: When there are too many members, or the coded bytes stand for too much or for nothing.
        """
        if piece:
            self._decoded_bytes += len(piece)
            self._barren_bytes = 0
        if self._members > _FREE_MEMBERS + self._decoded_bytes // _BYTES_A_MEMBER:
            raise UndecodableError(f"it has {self._members} members and hardly anything in them")
        if self._barren_bytes > _FREE_BYTES:
            raise UndecodableError(f"{self._barren_bytes} bytes of it stand for nothing")
        most = self._max_ratio * self._coded_bytes
        if most and self._decoded_bytes > max(most, _FREE_BYTES):
            raise UndecodableError(f"it expands more than {self._max_ratio} times")

    def check_end(self) -> None:
        """Accept the end of the body here.

        Raises:
            UndecodableError: When the body is cut off.
        """
        if not self._is_fresh:
            raise UndecodableError("it ends too early")
