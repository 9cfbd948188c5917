"""The keys of settings and store in memory, so that no call waits for the store."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from rerankd.access.api_key import ApiKey
from rerankd.access.grant import Grant, grant_of
from rerankd.contract.errors import Reason, ServiceError
from rerankd.telemetry.fault_log import FaultLog

_MIN_REFRESH_S: Final = 0.25
"""Shortest time between two looks at the store that unknown keys cause."""
_MIN_READ_S: Final = 2.5
"""Time that a reading has at least: the first one imports the database library and opens the store."""

_log = structlog.get_logger("rerankd.access")


class StoredKeys(Protocol):
    """Where the ring reads keys."""

    async def changed_since(self, change: int) -> tuple[int, list[ApiKey]]:
        """Return the number of the last change, and the keys that changed after `change`."""
        ...


class _Entry(NamedTuple):
    digest: str
    expires_at: float | None
    grant: Grant
    is_stored: bool


class KeyRing:
    """Finds keys by their digest. For one event loop.

    A loop reads what changed in the store twice within `revoked_within_s`, and drops what was revoked or rotated. A key
    that is not known makes it read at once, so that a new key works at once, but not more often than every 0.25 s.

    Args:
        declared: Keys of the settings; they win over those of the store.
        stored: Reads the store; None without one.
        revoked_within_s: Longest time until a change is known here.
        stale_for_s: How long stored keys are taken after the last time the store could be read.
        clock: Returns seconds since 1970, for expiry.
    """

    def __init__(
        self,
        declared: Sequence[ApiKey],
        stored: StoredKeys | None = None,
        *,
        revoked_within_s: float = 5.0,
        stale_for_s: float = 300.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stored = stored
        self._period_s = revoked_within_s / 2
        self._stale_for_s = stale_for_s
        self._clock = clock
        self._declared: dict[str, _Entry] = {}
        self._declared_digests: dict[str, str] = {}
        self._entries: dict[str, _Entry] = {}
        self._digests: dict[str, tuple[str, ...]] = {}
        self._change = 0
        self._read_at_s = -math.inf
        self._faults = FaultLog(_log, "API keys cannot be read", "API keys can be read again")
        self._reading: asyncio.Task[bool] | None = None
        self._loop: asyncio.Task[None] | None = None
        self.declare(declared)

    def declare(self, keys: Sequence[ApiKey]) -> None:
        """Take the keys of new settings for those of the old ones."""
        self._declared = {key.digest: _Entry(key.digest, key.expires_at, grant_of(key), False) for key in keys}
        self._declared_digests = {key.id: key.digest for key in keys}

    async def start(self) -> None:
        """Read the store, and go on reading it.

        Raises:
            StoreError: It cannot be read.
        """
        if self._stored is not None:
            await self._read()
            self._loop = asyncio.create_task(self._keep_reading())

    async def close(self) -> None:
        """Stop reading."""
        for task in (self._loop, self._reading):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):  # logged by then
                    await task

    def find(self, digest: str) -> Grant | None:
        """Return the rights of the key with a digest; None if it is not known here.

        Raises:
            ServiceError: `API_KEY_INVALID` for a key that has expired, `ACCESS_UNAVAILABLE` for one of a store that
                could not be read for too long.
        """
        entry = self._declared.get(digest) or self._entries.get(digest)
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            return None
        if entry.expires_at is not None and entry.expires_at <= self._clock():
            raise ServiceError(Reason.API_KEY_INVALID, "the API key has expired; use another one")
        if (
            entry.is_stored
            and self._faults.lasts
            and asyncio.get_running_loop().time() - self._read_at_s > self._stale_for_s
        ):
            message = "API keys cannot be checked, since their store cannot be read; try again later"
            raise ServiceError(Reason.ACCESS_UNAVAILABLE, message, retry_after_s=self._period_s)
        return entry.grant

    def digests_of(self, key_id: str) -> tuple[str, ...]:
        """Return the digests by which a key can be found now; none if it is not known here, or was revoked."""
        declared = self._declared_digests.get(key_id)
        return self._digests.get(key_id, ()) if declared is None else (declared,)

    async def refresh(self) -> bool:
        """Read the store, at most every 0.25 s; calls at the same time wait for one reading. Faults are logged.

        Returns:
            Whether all keys are known now, so that any other one is unknown.
        """
        if self._stored is None:
            return True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_soon())
        return await asyncio.shield(self._reading)

    async def _read_soon(self) -> bool:
        await asyncio.sleep(max(0.0, self._read_at_s + _MIN_REFRESH_S - asyncio.get_running_loop().time()))
        return await self._try_to_read()

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            await self._try_to_read()

    async def _try_to_read(self) -> bool:
        """Read the store; return whether that succeeded."""
        try:
            await asyncio.wait_for(self._read(), max(self._period_s, _MIN_READ_S))
        except Exception as error:  # whatever it is, the keys that are known serve until it is over
            self._faults.failed(error)
            return False
        self._faults.succeeded()
        return True

    async def _read(self) -> None:
        assert self._stored is not None  # noqa: S101 - checked by the callers
        began_s = asyncio.get_running_loop().time()
        change, keys = await self._stored.changed_since(self._change)
        if change < self._change:  # another store stands there now, such as an older copy
            self._entries.clear()
            self._digests.clear()
            change, keys = await self._stored.changed_since(0)
        for key in keys:
            self._take(key)
        self._change = change
        self._read_at_s = began_s

    def _take(self, key: ApiKey) -> None:
        for digest in self._digests.pop(key.id, ()):
            self._entries.pop(digest, None)
        if key.revoked_at is not None:
            return
        grant = grant_of(key)
        entries = [_Entry(key.digest, key.expires_at, grant, True)]
        if key.old_digest:
            ends = [at for at in (key.old_expires_at, key.expires_at) if at is not None]
            entries.append(_Entry(key.old_digest, min(ends, default=None), grant, True))
        self._entries.update({entry.digest: entry for entry in entries})
        self._digests[key.id] = tuple(entry.digest for entry in entries)
