"""Stored rerankers in the engine of this process, kept up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from rerankd.registry.loading import LoadedRerankers, load
from rerankd.registry.stored_reranker import StoredReranker
from rerankd.telemetry.fault_log import FaultLog

_READ_TIMEOUT_S: Final = 10.0
_NEVER: Final = -1

_log = structlog.get_logger("rerankd.registry")


class StoredRerankers(Protocol):
    """Where rerankers are read."""

    async def read_if_changed(self, change: int) -> tuple[int, Sequence[StoredReranker] | None]:
        """Return the number of the last change, and all rerankers unless that is `change`."""
        ...


class LiveRerankers:
    """Hands the stored rerankers to the engine: at the start, and whenever they have changed. For one event loop.

    While the store cannot be read, those read last stay in use.

    Args:
        stored: Reads the store.
        use: Takes the rerankers.
        poll_s: Seconds between two looks at the store.
    """

    def __init__(self, stored: StoredRerankers, use: Callable[[LoadedRerankers], None], poll_s: float = 0.5) -> None:
        self._stored = stored
        self._use = use
        self._poll_s = poll_s
        self._change = _NEVER
        self._faults = FaultLog(_log, "stored rerankers cannot be read", "stored rerankers can be read again")
        self._reading = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the store, and go on reading it. A store that cannot be read is logged; calls do not wait for it."""
        await self.refresh()
        self._loop = asyncio.create_task(self._keep_reading(), name="stored-rerankers")

    async def close(self) -> None:
        """Stop reading."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop

    async def refresh(self) -> None:
        """Take what has changed. Faults are logged."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S), self._reading:
                await self._read()
        except Exception as error:  # whatever it is, the rerankers that were read last stay in use
            self._faults.failed(error)
        else:
            self._faults.succeeded()

    async def _read(self) -> None:
        change, rerankers = await self._stored.read_if_changed(self._change)
        if rerankers is not None:
            if rerankers or self._change != _NEVER:
                self._use(load(rerankers))
            self._change = change

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()
