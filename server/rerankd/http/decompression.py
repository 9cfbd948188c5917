"""Bounded decompression of HTTP bodies: gzip and zstd."""

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
"""Supported codings, in order of preference."""
ALIASES: Final = {"x-gzip": "gzip"}
"""Other names of codings."""
_PIECE_BYTES: Final = 256 * 1024
_FED_BYTES: Final = 16 * 1024
"""Most bytes passed to a decompressor at once: it copies those that it leaves unread."""
_FREE_MEMBERS: Final = 1000
_BYTES_A_MEMBER: Final = 1024
"""Least average size of gzip members and zstd frames beyond the free ones: an empty one costs 5 us and 20 bytes."""
_FREE_BYTES: Final = 2**20
"""Below this size neither the ratio nor input without output is limited."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_OPTIONS: Final = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB, what RFC 9659 lets senders use


class UndecodableError(ValueError):
    """A body cannot be decompressed; the text says why."""


class _Inflater(Protocol):
    """Decompresses one member of a body."""

    eof: bool
    unused_data: bytes

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield bounded pieces."""


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
    """Return the coding of a `content-encoding` header; None if it is not supported."""
    coding = declared.strip().lower()
    coding = ALIASES.get(coding, coding)
    return coding if coding in _INFLATERS else None


class Decoder:
    """Decompresses a body piece by piece, so that a decompression bomb never takes more memory than one piece.

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
        """Compressed bytes since the last output."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield pieces of at most 256 KiB, empty ones where the caller can yield the event loop.

        Raises:
            UndecodableError: For bytes that are not of the coding, or expand too much or to nothing.
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
            UndecodableError: When there are too many members, or the bytes expand too much or to nothing.
        """
        if piece:
            self._decoded_bytes += len(piece)
            self._barren_bytes = 0
        if self._members > _FREE_MEMBERS + self._decoded_bytes // _BYTES_A_MEMBER:
            raise UndecodableError(f"it has {self._members} members and hardly anything in them")
        if self._barren_bytes > _FREE_BYTES:
            raise UndecodableError(f"{self._barren_bytes} bytes of it expand to nothing")
        most = self._max_ratio * self._coded_bytes
        if most and self._decoded_bytes > max(most, _FREE_BYTES):
            raise UndecodableError(f"it expands more than {self._max_ratio} times")

    def check_end(self) -> None:
        """Check that the body may end here.

        Raises:
            UndecodableError: When the body is cut off.
        """
        if not self._is_fresh:
            raise UndecodableError("it ends too early")
