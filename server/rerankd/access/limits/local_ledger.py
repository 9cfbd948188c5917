"""Ledger in a SQLite file, exact across the workers of one machine and across restarts.

SQLite in WAL mode without waiting for the disk: a transaction takes some 25 us, which is why it runs on the event
loop. A crash of the process loses nothing; one of the machine may lose the last moments of what was counted.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from rerankd.access.limits.ledger import (
    HEARTBEAT_S,
    OWNER_TTL_S,
    ROUNDING,
    Charge,
    Lease,
    LedgerUnavailableError,
    Reading,
    Refusal,
    Row,
    retry_after_s,
    value_of,
)
from rerankd.access.limits.patience import LONGEST_WAIT_S
from rerankd.access.limits.sole_counter import SoleCounter
from rerankd.store.private_file import create_private_file

_SCHEMA: Final = """
create table if not exists meter (name text primary key, period integer not null, used real not null,
  before real not null, expires_s real not null) without rowid;
create table if not exists reserved (meter text, owner text, amount real not null, primary key (meter, owner))
  without rowid;
create table if not exists owner (id text primary key, seen_s real not null) without rowid;
create index if not exists meter_expires on meter (expires_s);
"""
_USE: Final = """
insert into meter values %s on conflict do update set
  used = case when period >= excluded.period then used + excluded.used else excluded.used end,
  before = case when period >= excluded.period then before when period = excluded.period - 1 then used else 0 end,
  period = max(period, excluded.period), expires_s = excluded.expires_s
"""
_USE_AGAIN: Final = """
update meter set used = used + column3 from (values %s) where name = column1 and period = column2 returning name
"""
"""In a period in which the meter was used before, as nearly always; touches no index."""
_HOLD: Final = """
insert into reserved values %s on conflict do update set amount = max(amount + excluded.amount, 0)
"""
"""Reserves, or releases by a negative amount."""
_STORED: Final = """
select column1, period, used, before, (select total(amount) from reserved where meter = column1)
  from (values %s) left join meter on name = column1
"""
_MAX_METERS: Final = 500_000
"""Meters kept, some 100 bytes each; beyond it those that expire first are dropped, as callers name end users."""
_BEATS_PER_COUNT: Final = 30
_LOCK_WAIT_S: Final = 0.005
"""Longest time that a transaction keeps the event loop waiting for another process that writes."""
_PAUSE_S: Final = 0.005
"""Between two tries of a transaction."""
_MAX_UNSETTLED: Final = 100_000
"""Calls whose end waits for the file; the reservations of older ones end with this process."""

_T = TypeVar("_T")
_log = structlog.get_logger("rerankd.access")


class LocalLedger:
    """Counts in a file. Satisfies `Ledger`; one for each process.

    Args:
        path: File; made with its folder, readable by its owner only.
        timeout_s: Longest wait of a call for other processes that write, unless `LONGEST_WAIT_S` is longer.
        clock: Unix time in seconds, the same for all processes.
    """

    def __init__(self, path: Path, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._clock = clock
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._connection: sqlite3.Connection | None = None
        self.sole = SoleCounter(path.with_name(path.name + ".lock"))
        """Whether another process counts in memory."""
        self._turn = asyncio.Lock()
        self._unsettled: deque[tuple[Sequence[Charge], Mapping[str, float]]] = deque(maxlen=_MAX_UNSETTLED)
        self._has_unsettled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_failing = False
        self._beats = 0

    async def start(self) -> None:
        """See `Ledger`; a process that counts in memory sees that this one lives, and gives way."""
        await self._beat()
        try:
            await self.sole.share()
        except OSError as error:
            self._unavailable(error)
        self._tasks = [
            asyncio.create_task(self._keep_beating(), name="limits-heartbeat"),
            asyncio.create_task(self._keep_settling(), name="limits-settling"),
        ]

    async def close(self) -> None:
        """See `Ledger`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._settle_waiting()
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("delete from reserved where owner = ?", (self._owner,))
                self._connection.execute("delete from owner where id = ?", (self._owner,))
            self._connection.close()
            self._connection = None
        self.sole.close()

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """See `Ledger`."""
        try:
            outcome = await self._write_patiently(partial(self._admit, charges=charges))
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from None
        self._is_failing = False
        return outcome

    def settle(self, lease: Lease, used: Mapping[str, float]) -> None:
        """See `Ledger`."""
        if lease.is_settled:
            return
        lease.is_settled = True
        self._unsettled.append(([reading.charge for reading in lease.readings], used))
        if len(self._unsettled) > 1 or not self._settle_waiting():
            self._has_unsettled.set()

    def _settle_waiting(self) -> bool:
        """Settle in the order in which calls ended; return whether all are settled."""
        try:
            while self._unsettled:
                charges, used = self._unsettled[0]
                self._write(partial(self._put, charges=charges, used=used))
                self._unsettled.popleft()
        except (sqlite3.Error, OSError) as error:
            if not _is_locked(error):
                self._unavailable(error)
            return False
        return True

    def _put(self, connection: sqlite3.Connection, charges: Sequence[Charge], used: Mapping[str, float]) -> None:
        _for_each(connection, _HOLD, [(each.meter, self._owner, -each.amount) for each in charges])
        now_s = self._clock()
        counted = [
            (each.meter, each.window, used[each.meter]) for each in charges if each.window and used.get(each.meter)
        ]
        if not counted:
            return
        known = _for_each(connection, _USE_AGAIN, [(name, each.period_at(now_s), more) for name, each, more in counted])
        names = {name for (name,) in known}
        _for_each(
            connection,
            _USE,
            [
                (name, each.period_at(now_s), more, 0.0, each.expiry_s(now_s))
                for name, each, more in counted
                if name not in names
            ],
        )

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """See `Ledger`."""
        try:
            rows, reserved = _stored(self._open(), charges)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from None
        now_s = self._clock()
        return [
            Reading(each, value_of(each.window, rows.get(each.meter), now_s) + reserved.get(each.meter, 0.0))
            for each in charges
        ]

    def rows(self, charges: Sequence[Charge]) -> Mapping[str, Row]:
        """Return what is stored of meters, those of which nothing is left out.

        Raises:
            LedgerUnavailableError: The file cannot be read, or has not yet what `add` was told.
        """
        if not self._settle_waiting():
            raise LedgerUnavailableError("the file cannot be written")
        try:
            return _stored(self._open(), charges)[0]
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from None

    def add(self, charges: Sequence[Charge], used: Mapping[str, float]) -> bool:
        """Add use for which nothing was reserved, now or soon; return whether now."""
        if charges:
            self.settle(Lease([Reading(each, 0.0) for each in charges]), used)
        return not self._unsettled

    def has_others(self) -> bool:
        """Return whether other processes count in the file; they are taken to if it cannot be read."""
        living_s = self._clock() - OWNER_TTL_S
        try:
            found = self._open().execute("select 1 from owner where id <> ? and seen_s >= ?", (self._owner, living_s))
            has_others = found.fetchone() is not None
        except (sqlite3.Error, OSError) as error:
            self._unavailable(error)
            return True
        self._is_failing = False
        return has_others

    def hold(self, held: Mapping[str, float]) -> bool:
        """Reserve amounts by meter that were admitted elsewhere; return whether it is done."""
        return self._try(
            lambda connection: _for_each(
                connection, _HOLD, [(name, self._owner, amount) for name, amount in held.items()]
            )
        )

    def take_held(self, held: dict[str, float]) -> bool:
        """Move what this process has reserved into `held`; return whether it is done."""

        def move(connection: sqlite3.Connection) -> None:
            held.update(connection.execute("select meter, amount from reserved where owner = ?", (self._owner,)))
            connection.execute("delete from reserved where owner = ?", (self._owner,))

        return not self._unsettled and self._try(move)

    def _try(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        try:
            self._write(work)
        except (sqlite3.Error, OSError) as error:
            if not _is_locked(error):
                self._unavailable(error)
            return False
        self._is_failing = False
        return True

    def _admit(self, connection: sqlite3.Connection, charges: Sequence[Charge]) -> Lease | Refusal:
        rows, reserved = _stored(connection, charges)
        now_s = self._clock()
        readings = []
        for charge in charges:
            row, held = rows.get(charge.meter), reserved.get(charge.meter, 0.0)
            used = value_of(charge.window, row, now_s) + held
            if used + charge.amount > charge.limit * (1 + ROUNDING):
                return Refusal(Reading(charge, used), retry_after_s(charge, row, held, now_s))
            readings.append(Reading(charge, used + charge.amount))
        _for_each(connection, _HOLD, [(each.meter, self._owner, each.amount) for each in charges])
        return Lease(readings)

    async def _write_patiently(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something in one transaction, and wait for other processes that write, one caller at a time."""
        give_up_s = time.monotonic() + max(self._timeout_s, LONGEST_WAIT_S)
        while True:
            try:
                async with self._turn:
                    return self._write(work)
            except sqlite3.OperationalError as error:
                if self._is_failing or not _is_locked(error) or time.monotonic() > give_up_s:
                    raise
            await asyncio.sleep(_PAUSE_S)

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something in one transaction."""
        connection = self._open()
        connection.execute("begin immediate")
        try:
            done = work(connection)
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")
        return done

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            create_private_file(self._path)
            connection = sqlite3.connect(self._path, timeout=_LOCK_WAIT_S, isolation_level=None)
            try:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = off")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._beat()
            self._has_unsettled.set()

    async def _keep_settling(self) -> None:
        while True:
            await self._has_unsettled.wait()
            self._has_unsettled.clear()
            if not self._settle_waiting() and not self._is_failing:
                self._has_unsettled.set()
                await asyncio.sleep(_PAUSE_S)

    async def _beat(self) -> None:
        """Tell that this process lives; drop the reservations of those that do not, and meters out of use."""
        self._beats += 1
        try:
            await self._write_patiently(self._tidy)
        except (sqlite3.Error, OSError) as error:
            self._unavailable(error)

    def _tidy(self, connection: sqlite3.Connection) -> None:
        now_s = self._clock()
        connection.execute("insert or replace into owner values (?, ?)", (self._owner, now_s))
        connection.execute("delete from owner where seen_s < ?", (now_s - OWNER_TTL_S,))
        connection.execute("delete from reserved where amount = 0 or owner not in (select id from owner)")
        connection.execute("delete from meter where expires_s < ?", (now_s,))
        if self._beats % _BEATS_PER_COUNT == 0:
            _drop_excess(connection)

    def _unavailable(self, error: Exception) -> LedgerUnavailableError:
        """Log the first failure of several; return the error for the caller."""
        if not self._is_failing:
            self._is_failing = True
            _log.warning("limits_not_counted", path=str(self._path), problem=str(error))
        return LedgerUnavailableError(str(error))


def _is_locked(error: Exception) -> bool:
    """Tell whether another process was writing."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _stored(connection: sqlite3.Connection, charges: Sequence[Charge]) -> tuple[dict[str, Row], dict[str, float]]:
    """Return period, use and use before of the meters, and what is reserved on them."""
    rows = _for_each(connection, _STORED, [(charge.meter,) for charge in charges])
    stored = {name: (period, used, before) for name, period, used, before, _ in rows if period is not None}
    return stored, {name: held for name, _, _, _, held in rows}


def _for_each(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> list[Any]:
    """Run one statement with values for all rows, which costs a third of running it for each; none without rows."""
    if not rows:
        return []
    text = _with_rows(statement, len(rows), len(rows[0]))
    return connection.execute(text, list(chain.from_iterable(rows))).fetchall()


@lru_cache(maxsize=64)
def _with_rows(statement: str, rows: int, columns: int) -> str:
    marks = f"({', '.join('?' * columns)})"
    return statement % ", ".join([marks] * rows)


def _drop_excess(connection: sqlite3.Connection) -> None:
    """Delete the meters beyond the most that are kept, those that expire first."""
    (count,) = connection.execute("select count(*) from meter").fetchone()
    if count > _MAX_METERS:
        _log.warning("limits_dropped", meters=count - _MAX_METERS, most=_MAX_METERS)
        connection.execute(
            "delete from meter where name in (select name from meter order by expires_s limit ?)",
            (count - _MAX_METERS,),
        )
