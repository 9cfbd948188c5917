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
    """Undoes a content coding piece by piece, so that nobody holds more than one piece of a bomb."""

    def __init__(self, coding: str) -> None:
        self._make = _INFLATERS[coding]
        self._member: _Inflater = self._make()
        self._is_fresh = True

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, at most 256 KiB at a time.

        Raises:
            UndecodableError: For bytes that are not of the coding.
        """
        try:
            while data:
                self._is_fresh = False
                yield from self._member.pieces(data)
                if not self._member.eof:
                    return
                data = self._member.unused_data
                self._member = self._make()
                self._is_fresh = True
        except (zlib.error, zstd.ZstdError):
            raise UndecodableError("it is not valid") from None

    def check_end(self) -> None:
        """Accept the end of the body here.

        Raises:
            UndecodableError: When the body is cut off.
        """
        if not self._is_fresh:
            raise UndecodableError("it ends too early")
