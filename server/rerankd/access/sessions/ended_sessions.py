"""Which sessions were ended, known here within a stated time, whichever worker or replica ended them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from rerankd.contract.errors import Reason, ServiceError
from rerankd.store.errors import StoreError
from rerankd.store.opening import LazyDatabase
from rerankd.telemetry.fault_log import FaultLog

if TYPE_CHECKING:
    from rerankd.access.sessions.ended_table import EndedTable

_MIN_READ_S: Final = 2.5
"""Time that a reading has at least: the first one may import the database library and open the store."""

_log = structlog.get_logger("rerankd.access")


class EndedSessions:
    """Sessions that were ended before their time, and completed logins. For one event loop; its creator stops it.

    The store is read by the calls that need it, at most every `known_within_s`.

    Args:
        database: Where they are kept.
        known_within_s: Longest time until one that another process ended is known here.
        stale_for_s: How long what was read is relied upon while the store cannot be read.
        clock: Returns seconds since 1970.
        monotonic: Returns seconds that only grow.
    """

    def __init__(
        self,
        database: LazyDatabase,
        *,
        known_within_s: float,
        stale_for_s: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._table: EndedTable | None = None
        self._known_within_s = known_within_s
        self._stale_for_s = stale_for_s
        self._clock = clock
        self._now_s = monotonic
        self._ended: dict[str, float] = {}
        self._change = 0
        self._read_at_s = -math.inf
        self._tried_at_s = -math.inf
        self._faults = FaultLog(_log, "ended sessions cannot be read", "ended sessions can be read again")
        self._reading: asyncio.Task[None] | None = None

    async def contains(self, session_id: str) -> bool:
        """Tell whether a session was ended.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` if the store could not be read for too long.
        """
        if session_id in self._ended:
            return True
        if self._reading is None or self._reading.done():
            if self._now_s() - self._tried_at_s < self._known_within_s:
                return self._answer(session_id)
            self._tried_at_s = self._now_s()
            self._reading = asyncio.create_task(self._try_to_read())
        await asyncio.shield(self._reading)
        return self._answer(session_id)

    async def end(self, session_id: str, ends_at: float) -> None:
        """End a session, here at once.

        Args:
            session_id: Of the session.
            ends_at: When it would have ended by itself, in seconds since 1970.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` if the store cannot be written, so that others will not know.
        """
        self._ended[session_id] = ends_at
        await self._add(session_id, ends_at, "the session has ended on this worker only")

    async def claim(self, login_id: str, ends_at: float) -> bool:
        """End a login that has been completed, so that nobody completes it again, here or elsewhere.

        Args:
            login_id: Of the login.
            ends_at: When it would have ended by itself, in seconds since 1970.

        Returns:
            Whether it had not been ended before.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` if the store cannot be written.
        """
        return await self._add(login_id, ends_at, "nobody can log in this way")

    async def _add(self, name: str, ends_at: float, effect: str) -> bool:
        try:
            return await (await self._open()).add(name, ends_at)
        except StoreError as error:
            _log.warning("an ended session or login cannot be stored", problem=str(error))
            message = f"{effect}, since the store cannot be written; try again later"
            raise ServiceError(Reason.ACCESS_UNAVAILABLE, message, retry_after_s=self._known_within_s) from None

    def stop(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()

    async def _open(self) -> EndedTable:
        if self._table is None:
            from rerankd.access.sessions.ended_table import EndedTable

            self._table = EndedTable(await self._database.open(), self._clock)
        return self._table

    def _answer(self, session_id: str) -> bool:
        if self._faults.lasts and self._now_s() - self._read_at_s > self._stale_for_s:
            message = "sessions cannot be checked, since their store cannot be read; try again later"
            raise ServiceError(Reason.ACCESS_UNAVAILABLE, message, retry_after_s=self._known_within_s)
        return session_id in self._ended

    async def _try_to_read(self) -> None:
        began_s = self._now_s()
        try:
            await asyncio.wait_for(self._read(), max(self._known_within_s, _MIN_READ_S))
        except Exception as error:  # whatever it is, what was read is relied upon until it is over
            self._faults.failed(error)
        else:
            self._faults.succeeded()
            self._read_at_s = began_s

    async def _read(self) -> None:
        if not self._database.is_there:
            return
        table = await self._open()
        change, ended = await table.changed_since(self._change)
        if change < self._change:  # another store stands there now, such as an older copy
            change, ended = await table.changed_since(0)
        now = self._clock()
        self._ended = {name: at for name, at in self._ended.items() if at > now} | dict(ended)
        self._change = change
