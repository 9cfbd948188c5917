"""Content codings of responses: negotiation by `accept-encoding`, and compression."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from rerankd.http.decompression import ALIASES, CODINGS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_THREAD_FROM_BYTES: Final = 128 * 1024
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 1
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


def choose_coding(accepted: str) -> str | None:
    """Choose a response's coding by the weights in `accept-encoding`, ties in the order of `CODINGS`; None for none."""
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
        weights[ALIASES.get(coding, coding)] = _weight(parameters)
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
    """Compress a whole body; from 128 KiB on in a thread, to keep the event loop free."""
    work = _COMPRESS[coding]
    return work(body) if len(body) < _THREAD_FROM_BYTES else await asyncio.to_thread(work, body)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)


def _zstd(body: bytes) -> bytes:
    return zstd.compress(body, _ZSTD_LEVEL)


_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"gzip": _gzip, "zstd": _zstd}
