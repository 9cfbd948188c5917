"""Second cache tier: scores in a Redis shared by replicas, which delays a call by milliseconds at most."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from rerankd.cache.keys import KEY_VERSION
from rerankd.cache.redis_link import RedisLink

_READ_SLICE = 512
_WRITE_SLICE = 256
"""Pairs of one command; bounds the time that a command blocks Redis and our event loop."""
_MAX_WAITING = 50_000
"""Queue of pairs to write; when it is full, new pairs are dropped."""
_FLUSH_TIMEOUT_S = 0.5
_WRITE_TIMEOUT_S = 1.0
_SCORE = struct.Struct("<d")
_SET_SCRIPT = """
local ttl_ms = ARGV[#ARGV]
for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i], 'PX', ttl_ms) end
"""
"""MSET has no time to live and most servers lack MSETEX; one script costs a tenth of a pipeline of SETs."""


class RedisTier:
    """Reads within a time limit, writes in the background. For one event loop; its creator closes it.

    A value is a score as eight bytes, a little-endian double, under `PREFIX:VERSION:KEY`; one of another form counts as
    absent.

    Args:
        link: The connection; started and closed with this object.
        prefix: First part of every key.
        timeout_s: Longest time of one `get_many`, in seconds.
        ttl_s: Seconds that Redis keeps a score.
    """

    def __init__(self, link: RedisLink, prefix: str, timeout_s: float, ttl_s: float) -> None:
        self._link = link
        self._prefix = f"{prefix}:{KEY_VERSION}:".encode()
        self._timeout_s = timeout_s
        self._ttl_ms = str(max(1, round(ttl_s * 1000))).encode()
        self._waiting: dict[bytes, float] = {}
        self._has_work = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._writer: asyncio.Task[None] | None = None
        self.dropped = 0
        """Number of scores not written."""

    @property
    def is_up(self) -> bool:
        """Whether Redis is in use now."""
        return self._link.is_up

    @property
    def errors(self) -> int:
        """Failures and timeouts so far."""
        return self._link.errors

    async def start(self) -> None:
        """Connect within 1 s; on failure keep trying in the background. Call once."""
        await self._link.start()
        self._writer = asyncio.create_task(self._write_forever(), name="redis-writer")

    async def close(self) -> None:
        """Write the queue within 0.5 s, then disconnect; what is not written by then is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                await self._is_idle.wait()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._link.close()

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Read scores.

        Args:
            keys: n keys, n >= 0, without the prefix.

        Returns:
            The scores that were found in time, by key. Faults are counted, and raise nothing.
        """
        found: dict[bytes, float] = {}
        if not self._link.is_up:
            return found
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                for start in range(0, len(keys), _READ_SLICE):
                    part = keys[start : start + _READ_SLICE]
                    found.update(_readable(part, await self._link.mget([self._prefix + key for key in part])))
        except Exception as error:  # a cache never fails a call
            self._link.failed(error, began_s)
        return found

    def put_many(self, pairs: Mapping[bytes, float]) -> None:
        """Queue scores for writing; returns at once.

        Args:
            pairs: Scores by key. All of them are dropped and counted while Redis is down, or if the queue of 50,000
                has no room for them.
        """
        if not self._link.is_up or len(self._waiting) + len(pairs) > _MAX_WAITING:
            self.dropped += len(pairs)
            return
        self._waiting.update(pairs)
        self._is_idle.clear()
        self._has_work.set()

    async def _write_forever(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            pairs, self._waiting = self._waiting, {}
            rest = iter(pairs.items())
            while part := list(islice(rest, _WRITE_SLICE)):
                await self._write(part)
            if not self._waiting:
                self._is_idle.set()

    async def _write(self, pairs: Sequence[tuple[bytes, float]]) -> None:
        began_s = time.monotonic()
        try:
            if self._link.is_up:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    keys = [self._prefix + key for key, _ in pairs]
                    await self._link.evaluate(
                        _SET_SCRIPT, keys, [*(_SCORE.pack(score) for _, score in pairs), self._ttl_ms]
                    )
                return
        except Exception as error:  # a lost write costs a later cache miss
            self._link.write_failed(error, began_s)
        self.dropped += len(pairs)


def _readable(keys: Sequence[bytes], values: Iterable[bytes | None]) -> dict[bytes, float]:
    """Unpack values; malformed ones count as absent."""
    found = {}
    for key, value in zip(keys, values, strict=True):
        if value is not None and len(value) == _SCORE.size:
            (score,) = _SCORE.unpack(value)
            if math.isfinite(score):
                found[key] = score
    return found
