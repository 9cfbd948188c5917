"""Reads the keys of an issuer over HTTP, and goes on reading them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

import structlog

from rerankd.access.tokens.discovery import Discovery, IssuerError, discover, fetch
from rerankd.access.tokens.key_set import KeySet, KeySetError
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.http.transport import HttpTransport
from rerankd.telemetry.fault_log import FaultLog
from rerankd_adapters.base import AdapterError

_MIN_READ_S: Final = 30.0
"""Shortest time between two readings, whatever asks for them."""
_SAYING_WHY: Final = (AdapterError, IssuerError, KeySetError)

_log = structlog.get_logger("rerankd.access")


class IssuerKeys:
    """The keys of one issuer. For one event loop.

    Keys are read again every `refresh_s`; calls go on with those that were read last. Where they cannot be read, those
    are taken for `stale_for_s`, and reading is tried every 30 s.

    Args:
        settings: The issuer.
        transport: Returns what sends the requests.
        monotonic: Returns seconds that only grow.
    """

    def __init__(
        self,
        settings: TokenIssuer,
        transport: Callable[[], HttpTransport],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings: Final = settings
        self._transport = transport
        self._now_s = monotonic
        self._keys: KeySet | None = None
        self._document = b""
        self.version = 0
        """Counts the changes of the keys."""
        self._read_at_s = -math.inf
        """When the keys that are known now were read."""
        self._tried_at_s = -math.inf
        self._faults = FaultLog(
            _log,
            "keys of a token issuer cannot be read",
            "keys of a token issuer can be read again",
            issuer=settings.name,
        )
        self._reading: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading the keys, and go on."""
        self._loop = asyncio.create_task(self._keep_reading(), name=f"keys-of-{self.settings.name}")

    def stop(self) -> None:
        """Stop reading."""
        for task in (self._loop, self._reading):
            if task is not None:
                task.cancel()

    def current(self) -> KeySet | None:
        """Return the keys; None where they were never read, or not for too long."""
        if self._faults.lasts and self._now_s() - self._read_at_s > self.settings.stale_for_s:
            return None
        return self._keys

    async def refresh(self) -> None:
        """Read the keys, but not within 30 s of the last time; calls at the same time wait for one reading."""
        if self._reading is None or self._reading.done():
            if self._now_s() - self._tried_at_s < _MIN_READ_S:
                return
            self._tried_at_s = self._now_s()
            self._reading = asyncio.create_task(self._try_to_read())
        await asyncio.shield(self._reading)

    async def _keep_reading(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(_MIN_READ_S if self._faults.lasts else self.settings.refresh_s)

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except Exception as error:  # whatever it is, the keys that are known serve until it is over
            self._faults.failed(error if isinstance(error, _SAYING_WHY) else type(error).__name__)
        else:
            self._faults.succeeded()
            self._read_at_s = self._now_s()

    async def _read(self) -> None:
        settings = self.settings
        url = settings.jwks_url or (await discover(settings, self._transport, Discovery)).jwks_uri
        document = await fetch(url, self._transport)
        if document != self._document:
            self._keys = KeySet(document, settings.algorithms)
            self._document = document
            self.version += 1
