"""Ledger that counts in memory while its process is the only one that counts in the file, and in the file otherwise.

In memory a call costs two look-ups a meter instead of two transactions. The file has the use of budgets before it
happens, that of a minute's limits soon after. A second process waits at its start until this one has written all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from rerankd.access.limits.ledger import (
    ROUNDING,
    Charge,
    Lease,
    Reading,
    Refusal,
    Row,
    retry_after_s,
    value_of,
)
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.unwritten import Unwritten

_MAX_KNOWN: Final = 100_000
"""Meters kept in memory; beyond it those that wait for nothing are read again from the file when they are needed."""


class MemoryLedger:
    """Counts in memory or in the file. Satisfies `Ledger`; for one event loop.

    Args:
        file: Keeps the counts; started and closed with this.
        write_every_s: Between two writes, and two looks for other processes.
        clock: Unix time in seconds.
        max_known: Meters kept in memory.
    """

    def __init__(
        self,
        file: LocalLedger,
        write_every_s: float,
        clock: Callable[[], float] = time.time,
        max_known: int = _MAX_KNOWN,
    ) -> None:
        self._file = file
        self._write_every_s = write_every_s
        self._clock = clock
        self._max_known = max_known
        self._rows: dict[str, Row | None] = {}
        self._held: dict[str, float] = {}
        self._unwritten = Unwritten()
        self._is_alone = False
        self._asking = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Ledger`."""
        await self._file.start()
        self._look()
        self._task = asyncio.create_task(self._keep_writing(), name="limits-writing")

    async def close(self) -> None:
        """See `Ledger`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._is_alone:
            self._write(ahead=False)
        await self._file.close()

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """See `Ledger`."""
        if not self._is_alone:
            self._asking += 1
            try:
                return await self._file.acquire(charges)
            finally:
                self._asking -= 1
        self._load(charges)
        now_s = self._clock()
        readings = []
        for charge in charges:
            row, held = self._rows.get(charge.meter), self._held.get(charge.meter, 0.0)
            used = value_of(charge.window, row, now_s) + held
            if used + charge.amount > charge.limit * (1 + ROUNDING):
                return Refusal(Reading(charge, used), retry_after_s(charge, row, held, now_s))
            readings.append(Reading(charge, used + charge.amount))
        for charge in charges:
            self._held[charge.meter] = self._held.get(charge.meter, 0.0) + charge.amount
        return Lease(readings)

    def settle(self, lease: Lease, used: Mapping[str, float]) -> None:
        """See `Ledger`."""
        if not self._is_alone:
            self._file.settle(lease, used)
            return
        if lease.is_settled:
            return
        lease.is_settled = True
        now_s, is_behind = self._clock(), False
        for charge, _ in lease.readings:
            name = charge.meter
            left = self._held.get(name, 0.0) - charge.amount
            if left > ROUNDING * charge.amount:
                self._held[name] = left
            else:
                self._held.pop(name, None)
            if charge.window is not None and (more := used.get(name)):
                is_behind |= self._unwritten.add(charge, charge.window, more, now_s) or name not in self._rows
                if name in self._rows:
                    self._rows[name] = _more(self._rows[name], charge.window.period_at(now_s), more)
        if is_behind:
            self._write()

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """See `Ledger`."""
        if not self._is_alone:
            return await self._file.read(charges)
        self._load(charges)
        now_s = self._clock()
        return [
            Reading(each, value_of(each.window, self._rows.get(each.meter), now_s) + self._held.get(each.meter, 0.0))
            for each in charges
        ]

    def _load(self, charges: Sequence[Charge]) -> None:
        """Read meters that are not known yet.

        Raises:
            LedgerUnavailableError: The file cannot be read.
        """
        missing = [each for each in charges if each.window is not None and each.meter not in self._rows]
        if missing:
            found = self._file.rows(missing)
            self._rows.update(
                {each.meter: self._unwritten.without_ahead(each.meter, found.get(each.meter)) for each in missing}
            )

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._write_every_s)
            self._look()

    def _look(self) -> None:
        """Write, and look whether this process is still, or again, the only one."""
        has_others = self._file.has_others()
        if not self._is_alone:
            self._is_alone = not (has_others or self._asking) and self._claim()
        elif not has_others:
            self._write()
            self._unwritten.forget_recent()
        elif self._write(ahead=False) and self._file.hold(self._held):
            self._is_alone = False
            self._held, self._rows = {}, {}
            self._file.sole.give_way()

    def _claim(self) -> bool:
        """Take the counts out of the file if no other process counts in it; return whether it is done."""
        with suppress(OSError):
            if self._file.sole.claim():
                if self._file.take_held(self._held):
                    return True
                self._file.sole.give_way()
        return False

    def _write(self, *, ahead: bool = True) -> bool:
        """Add to the file what was used since the last time; return whether it is done."""
        changes = self._unwritten.take(self._clock(), self._rows, ahead=ahead)
        is_written = self._file.add(list(changes), {charge.meter: change for charge, change in changes.items()})
        if len(self._rows) > self._max_known and is_written:
            self._rows = {name: row for name, row in self._rows.items() if name in self._held}
        return is_written


def _more(row: Row | None, period: int, used: float) -> Row:
    """Return a meter's row after `used` more in a period."""
    if row is None or row[0] < period - 1:
        return (period, used, 0.0)
    stored, before, long_before = row
    return (stored, before + used, long_before) if stored >= period else (period, used, before)
