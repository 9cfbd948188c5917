"""Content codings of HTTP bodies: gzip and zstd, in both directions, within bounds."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from rerankd.errors import Reason, ServiceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: Final = ("zstd", "gzip")
"""What we write and read; the first is taken where a client likes several equally."""
_ALIASES: Final = {"x-gzip": "gzip"}
_PIECE_BYTES: Final = 256 * 1024
_THREAD_FROM_BYTES: Final = 128 * 1024
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 1
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_OPTIONS: Final = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB, what RFC 9659 lets senders use


def choose_coding(accepted: str) -> str | None:
    """Pick the coding of an answer from `accept-encoding`; None for none."""
    wanted = _weights(accepted)
    best, best_weight = None, 0.0
    for coding in CODINGS:
        weight = wanted.get(coding, wanted.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = coding, weight
    return best if best_weight >= wanted.get("identity", 0.0) else None


def _weights(accepted: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in accepted.split(","):
        name, _, parameters = item.partition(";")
        coding = name.strip().lower()
        weights[_ALIASES.get(coding, coding)] = _weight(parameters)
    return weights


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


async def compress(body: bytes, coding: str) -> bytes:
    """Compress a whole body; a long one in a thread, since it would hold up the other calls."""
    work = _COMPRESS[coding]
    return work(body) if len(body) < _THREAD_FROM_BYTES else await asyncio.to_thread(work, body)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)


def _zstd(body: bytes) -> bytes:
    return zstd.compress(body, _ZSTD_LEVEL)


_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"gzip": _gzip, "zstd": _zstd}


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
    coding = _ALIASES.get(coding, coding)
    return coding if coding in _INFLATERS else None


class Decoder:
    """Undoes a content coding piece by piece, so that nobody holds more than one piece of a bomb."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._make = _INFLATERS[coding]
        self._member: _Inflater = self._make()
        self._is_fresh = True

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, at most 256 KiB at a time.

        Raises:
            ServiceError: `INVALID_REQUEST` for bytes that are not of the coding.
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
            raise self._broken("it is not valid") from None

    def check_end(self) -> None:
        """Accept the end of the body here.

        Raises:
            ServiceError: `INVALID_REQUEST` when the body is cut off.
        """
        if not self._is_fresh:
            raise self._broken("it ends too early")

    def _broken(self, why: str) -> ServiceError:
        return ServiceError(
            Reason.INVALID_REQUEST,
            f"the body cannot be read as {self._coding}: {why}; send it as content-encoding says",
            metadata={"content-encoding": self._coding},
        )
