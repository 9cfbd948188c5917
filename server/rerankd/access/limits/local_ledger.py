"""Ledger in a file that the processes of one machine map into memory, exact across them and across restarts.

A reservation takes a lock of the kernel and a few reads and writes of memory, some microseconds, which is why it runs
on the event loop. A crash of a process loses nothing; one of the machine may lose what was counted in the last half
minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from rerankd.access.limits.counts_file import METERS, CountsFile, CountsRow
from rerankd.access.limits.holdings import Holdings
from rerankd.access.limits.ledger import (
    HEARTBEAT_S,
    ROUNDING,
    Charge,
    Lease,
    LedgerUnavailableError,
    Reading,
    Refusal,
    Stored,
    retry_after_s,
    value_of,
)
from rerankd.access.limits.patience import LONGEST_WAIT_S
from rerankd.access.limits.windows import Window

_TRIES: Final = 8
"""Of the lock, which is held for some 10 us, before a call lets others run."""
_PAUSE_S: Final = 0.001
"""Between two of these."""
_MAX_UNSETTLED: Final = 100_000
"""Calls whose end waits for the file; the reservations of older ones end with this process."""

_log = structlog.get_logger("rerankd.access")


@dataclass(slots=True)
class _LocalLease(Lease):
    """An admitted call, with the row of each charge."""

    rows: Sequence[CountsRow] = ()
    open: Sequence[int] = ()
    """Numbers of the charges that are not counted as used yet."""


class LocalLedger:
    """Counts in a file. Satisfies `Ledger`; one for each process.

    Args:
        path: File; made with its folder, readable by its owner only. Files beside it, with a number, hold what each
            process has reserved.
        timeout_s: Longest wait of a call for other processes that count, unless `LONGEST_WAIT_S` is longer.
        clock: Unix time in seconds, the same for all processes.
        meters: Most meters of a new file.
    """

    def __init__(
        self, path: Path, timeout_s: float, clock: Callable[[], float] = time.time, meters: int = METERS
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._clock = clock
        self._file = CountsFile(path, meters)
        self._holdings = Holdings(path, meters)
        self._seen_version = -1
        self._unsettled: deque[tuple[Lease, Sequence[float]]] = deque(maxlen=_MAX_UNSETTLED)
        self._has_unsettled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_failing = False
        self._dropped = 0

    async def start(self) -> None:
        """See `Ledger`."""
        await self._beat()
        self._tasks = [
            asyncio.create_task(self._keep_beating(), name="limits-heartbeat"),
            asyncio.create_task(self._keep_settling(), name="limits-settling"),
        ]

    async def close(self) -> None:
        """See `Ledger`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(int(LONGEST_WAIT_S / _PAUSE_S)):
            if self._settle_waiting() or self._is_failing:
                break
            await asyncio.sleep(_PAUSE_S)
        self._holdings.close()
        self._file.close()

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """See `Ledger`."""
        try:
            if not self._lock():
                await self._wait_for_lock()
        except OSError as error:
            raise self._unavailable(error) from None
        try:
            return self._admit(charges)
        except OSError as error:
            raise self._unavailable(error) from None
        finally:
            self._file.unlock()

    def settle(self, lease: Lease, used: Sequence[float]) -> None:
        """See `Ledger`."""
        if lease.is_settled:
            return
        lease.is_settled = True
        if isinstance(lease, _LocalLease) and not any(lease.charges[at][2] or used[at] for at in lease.open):
            return
        if self._unsettled or not self._settle(lease, used):
            self._unsettled.append((lease, used))
            self._has_unsettled.set()

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """See `Ledger`."""
        try:
            if not self._lock():
                await self._wait_for_lock()
        except OSError as error:
            raise self._unavailable(error) from None
        now_s = self._clock()
        try:
            rows = [self._file.find(each.meter) for each in charges]
            return [
                Reading(each, 0.0 if row is None else self._used(row, each.window, now_s))
                for each, row in zip(charges, rows, strict=True)
            ]
        finally:
            self._file.unlock()

    def _lock(self) -> bool:
        """Keep the other processes from counting, and know them all; return `False` if one of them counts."""
        file = self._file
        tries = _TRIES
        while not file.lock():
            tries -= 1
            if not tries:
                return False
        if self._seen_version != file.version:
            self._look()
        return True

    def _look(self) -> None:
        """See which processes count, and have them see this one."""
        try:
            if not self._holdings.is_claimed:
                self._file.version += 1
                self._holdings.claim()
            self._holdings.look()
        except BaseException:
            self._file.unlock()
            raise
        self._seen_version = self._file.version

    async def _wait_for_lock(self) -> None:
        """Wait for processes that count.

        Raises:
            TimeoutError: One has held the lock for too long, an `OSError`.
        """
        give_up_s = time.monotonic() + max(self._timeout_s, LONGEST_WAIT_S)
        while not self._is_failing and time.monotonic() < give_up_s:
            await asyncio.sleep(_PAUSE_S)
            if self._lock():
                return
        raise TimeoutError(f"another process holds the lock of {self._path}; it may be stopped")

    def _admit(self, charges: Sequence[Charge]) -> Lease | Refusal:
        self._is_failing = False
        now_s, find = self._clock(), self._file.find
        rows: list[CountsRow] = []
        sums: list[float] = []
        for charge in charges:
            meter, limit, amount, window, _ = charge
            row = find(meter)
            used = 0.0 if row is None else self._used(row, window, now_s)
            after = used + amount
            if after > limit and after > limit * (1 + ROUNDING):
                return self._refusal(charge, row, used, now_s)
            if row is not None:
                rows.append(row)
            sums.append(after)
        if len(rows) < len(charges):
            rows = self._rows_for(charges, now_s)
        own, rest = self._holdings.columns[0], []
        for number, (_, _, amount, window, is_final) in enumerate(charges):
            row = rows[number]
            if is_final and window is not None:
                self._use(row, window, amount, now_s)
            else:
                own[row.slot] += amount
                rest.append(number)
        return _LocalLease(charges, sums, rows=rows, open=rest)

    def _rows_for(self, charges: Sequence[Charge], now_s: float) -> list[CountsRow]:
        """Return the rows of charges, each one its own; new meters take theirs from others.

        Raises:
            UnusableFileError: There is no room.
        """
        known = [self._file.find(charge.meter) for charge in charges]
        wanted = {row.slot for row in known if row is not None}
        rows = []
        for row, charge in zip(known, charges, strict=True):
            if row is None:
                row = self._file.take(charge.meter, now_s, lambda slot: slot in wanted or self._holdings.is_held(slot))
                wanted.add(row.slot)
            rows.append(row)
        return rows

    def _refusal(self, charge: Charge, row: CountsRow | None, used: float, now_s: float) -> Refusal:
        stored = None if row is None else self._stored(row)
        reserved = used - value_of(charge.window, stored, now_s)
        return Refusal(Reading(charge, used), retry_after_s(charge, stored, reserved, now_s))

    def _used(self, row: CountsRow, window: Window | None, now_s: float) -> float:
        """Return what is used and reserved of a meter."""
        slot, held = row.slot, 0.0
        for column in self._holdings.columns:
            held += column[slot]
        if window is None:
            return held
        numbers = self._file.numbers
        used, before = numbers[row.used], numbers[row.before]
        if not (used or before):
            return held
        if self._file.integers[row.period] != window.period_at(now_s):
            return value_of(window, self._stored(row), now_s) + held
        return used + before * window.weight_before(now_s) + held if before else used + held

    def _stored(self, row: CountsRow) -> Stored:
        numbers = self._file.numbers
        return self._file.integers[row.period], numbers[row.used], numbers[row.before]

    def _settle(self, lease: Lease, used: Sequence[float]) -> bool:
        """Settle a call; return whether it is done."""
        try:
            if not self._lock():
                return False
            try:
                self._put(lease, used)
            finally:
                self._file.unlock()
        except OSError as error:
            self._unavailable(error)
            return False
        return True

    def _settle_waiting(self) -> bool:
        """Settle in the order in which calls ended; return whether all are settled."""
        while self._unsettled:
            if not self._settle(*self._unsettled[0]):
                return False
            self._unsettled.popleft()
        return True

    def _put(self, lease: Lease, used: Sequence[float]) -> None:
        """Count what a call used, then release what it had reserved; killed in between, nothing is forgotten."""
        now_s, own, charges = self._clock(), self._holdings.columns[0], lease.charges
        numbers: Sequence[int] = range(len(charges))
        rows: Sequence[CountsRow] = ()
        if isinstance(lease, _LocalLease):
            numbers, rows = lease.open, lease.rows
        if not rows or any(used[number] and not charges[number][2] for number in numbers):
            rows = self._rows_for(charges, now_s)  # nothing was reserved on one of them: it may be another meter's now
        for number in numbers:
            window = charges[number][3]
            if (more := used[number]) and window is not None:
                self._use(rows[number], window, more, now_s)
        for number in numbers:
            if amount := charges[number][2]:
                slot = rows[number].slot
                left = own[slot] - amount
                own[slot] = left if left > ROUNDING * amount else 0.0

    def _use(self, row: CountsRow, window: Window, amount: float, now_s: float) -> None:
        file = self._file
        if file.integers[row.period] < window.period_at(now_s):
            self._begin_period(row, window, now_s)
        file.numbers[row.used] += amount

    def _begin_period(self, row: CountsRow, window: Window, now_s: float) -> None:
        """Make a new period the current one. Killed between two lines, it leaves too much used, never too little."""
        numbers, integers, period = self._file.numbers, self._file.integers, window.period_at(now_s)
        is_next = integers[row.period] == period - 1
        numbers[row.expires] = window.expiry_s(now_s)
        integers[row.period] = period
        numbers[row.before] = numbers[row.used] if is_next else 0.0
        numbers[row.used] = 0.0

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._beat()
            self._has_unsettled.set()

    async def _keep_settling(self) -> None:
        while True:
            await self._has_unsettled.wait()
            self._has_unsettled.clear()
            if self._unsettled and not self._settle_waiting() and not self._is_failing:
                self._has_unsettled.set()
                await asyncio.sleep(_PAUSE_S)

    async def _beat(self) -> None:
        """Drop the reservations of processes that have ended."""
        try:
            if not self._lock():
                await self._wait_for_lock()
        except OSError as error:
            self._unavailable(error)
            return
        try:
            self._holdings.drop_dead()
        finally:
            self._file.unlock()
        self._is_failing = False
        if self._file.dropped > self._dropped:
            self._dropped = self._file.dropped
            _log.warning("limits_dropped", meters=self._dropped, path=str(self._path))

    def _unavailable(self, error: Exception) -> LedgerUnavailableError:
        """Log the first failure of several; return the error for the caller."""
        if not self._is_failing:
            self._is_failing = True
            _log.warning("limits_not_counted", path=str(self._path), problem=str(error))
        return LedgerUnavailableError(str(error))
