"""Ledger in a Redis that replicas share: calls that wait at the same time are counted by one script.

While one batch is on its way the next one gathers. What calls used is told with the next calls that begin, or soon.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from rerankd.access.limits.ledger import (
    HEARTBEAT_S,
    OWNER_TTL_S,
    Charge,
    Lease,
    LedgerUnavailableError,
    Reading,
    Refusal,
    Stored,
    retry_after_s,
    value_of,
)
from rerankd.access.limits.patience import until_silent
from rerankd.access.limits.redis_scripts import BATCH, EXPIRED, LEAVE
from rerankd.cache.redis_link import RedisLink

_MAX_UNSETTLED: Final = 10_000
"""Calls whose end waits for Redis; older ones are dropped, and their reservations end with this process."""
_MOST_AT_ONCE: Final = 200
"""Calls that one script settles, and that it reserves for: some milliseconds of Redis."""
_SETTLE_AFTER_S: Final = 0.005
"""Longest time that the end of a call waits for the begin of another, to be told with it."""
_LEAVE_TIMEOUT_S: Final = 1.0

_State: TypeAlias = tuple[float, int | bool, float, float, float]
"""What is used and reserved together, period or false, use in it, use in the period before, what is reserved."""
_Answer: TypeAlias = tuple[int, Sequence[_State]]
"""Number of the charge that does not fit, 0 for none, and the states of the charges."""


@dataclass(eq=False, slots=True)
class _Request:
    """A call that is to be counted, or meters that are to be read."""

    charges: Sequence[Charge]
    lease: str
    """Id; empty to read only."""
    answer: asyncio.Future[_Answer]
    now_s: float


@dataclass(eq=False, slots=True)
class _Settlement:
    lease: str
    is_known: bool
    """Whether it counts although nothing is reserved by that id: at the first attempt, if the call was admitted."""
    charges: Sequence[tuple[object, ...]]
    """As `BATCH` takes them."""


class RedisLedger:
    """Counts in Redis. Satisfies `Ledger`; one for each process.

    Args:
        link: The connection; started and closed with this object.
        prefix: First part of every key.
        timeout_s: Longest silence of Redis that a call waits for.
        clock: Unix time in seconds.
        owner_ttl_s: Time after which this process is taken to be dead if Redis does not hear from it.
    """

    def __init__(
        self,
        link: RedisLink,
        prefix: str,
        timeout_s: float,
        clock: Callable[[], float] = time.time,
        owner_ttl_s: float = OWNER_TTL_S,
    ) -> None:
        self._link = link
        self._prefix = f"{{{prefix}}}:limits:".encode()
        self._timeout_s = timeout_s
        self._clock = clock
        self._owner = b""
        self._is_new = True
        self._ttl_ms = b"%d" % (owner_ttl_s * 1000)
        self._asked: deque[_Request] = deque()
        self._unsettled: deque[_Settlement] = deque(maxlen=_MAX_UNSETTLED)
        self._is_beat_due = False
        self._has_work = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._begin_anew()

    async def start(self) -> None:
        """See `Ledger`."""
        await self._link.start()
        self._tasks = [
            asyncio.create_task(self._keep_beating(), name="limits-heartbeat"),
            asyncio.create_task(self._keep_sending(), name="limits-sending"),
        ]

    async def close(self) -> None:
        """See `Ledger`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._soon is not None:
            self._soon.cancel()
        while self._unsettled and await self._send():
            pass
        if self._link.is_up:
            await self._leave(self._owner)
        await self._link.close()

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """See `Ledger`."""
        lease, now_s = secrets.token_hex(8), self._clock()
        refused, states = await self._ask(charges, lease, now_s)
        if refused:
            charge, (used, row, held) = charges[refused - 1], _read(states[refused - 1])
            return Refusal(Reading(charge, used), retry_after_s(charge, row, held, now_s))
        return Lease(charges, [state[0] + each.amount for each, state in zip(charges, states, strict=True)], lease)

    def settle(self, lease: Lease, used: Sequence[float]) -> None:
        """See `Ledger`."""
        if lease.is_settled:
            return
        lease.is_settled = True
        self._settle_soon(lease.charges, lease.id, used, is_known=True)

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """See `Ledger`."""
        now_s = self._clock()
        _, states = await self._ask(charges, "", now_s)
        read = [_read(state) for state in states]
        return [
            Reading(charge, value_of(charge.window, row, now_s) + held)
            for charge, (_, row, held) in zip(charges, read, strict=True)
        ]

    async def _ask(self, charges: Sequence[Charge], lease: str, now_s: float) -> _Answer:
        if not self._link.is_up:
            raise LedgerUnavailableError("Redis is away")
        request = _Request(charges, lease, asyncio.get_running_loop().create_future(), now_s)
        self._asked.append(request)
        self._has_work.set()
        try:
            return await request.answer
        except asyncio.CancelledError:
            # What was admitted is given back; what is still waiting, when it is answered.
            if lease and request.answer.done() and not request.answer.cancelled() and not request.answer.exception():
                self._settle_soon(charges, lease, (), is_known=False)
            raise

    def _settle_soon(self, charges: Sequence[Charge], lease: str, used: Sequence[float], *, is_known: bool) -> None:
        """Queue a settlement.

        Args:
            charges: n charges.
            lease: Id.
            used: Of each; empty for a call that used nothing.
            is_known: Whether the call is known to have been admitted.
        """
        now_s = self._clock()
        rows = [
            (meter, amount, more, False, 0)
            if window is None
            else (meter, amount, more, window.period_at(now_s), int(window.expiry_s(now_s) * 1000))
            for (meter, _, amount, window, _), more in zip(charges, used or [0.0] * len(charges), strict=True)
        ]
        self._unsettled.append(_Settlement(lease, is_known, rows))
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_SETTLE_AFTER_S, self._send_soon)

    def _send_soon(self) -> None:
        self._soon = None
        if self._unsettled:
            self._has_work.set()

    async def _keep_sending(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._asked or self._unsettled or self._is_beat_due:
                if not await self._send():
                    break

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._is_beat_due = True
            self._has_work.set()

    async def _send(self) -> bool:
        """Settle and ask for what waits, within the patience that calls have; return whether it is done."""
        requests = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST_AT_ONCE))]
        if not self._link.is_up:
            self._fail(requests, "Redis is away")
            return False
        settlements = [self._unsettled.popleft() for _ in range(min(len(self._unsettled), _MOST_AT_ONCE))]
        arguments = self._arguments(settlements, requests)
        self._is_beat_due = False
        began_s = time.monotonic()
        try:
            async with until_silent(self._timeout_s, lambda: self._link.answered_s):
                answers = await self._link.evaluate(BATCH, [], arguments)
        except BaseException as error:
            for each in settlements:
                each.is_known = False
            self._unsettled.extendleft(reversed(settlements))
            self._fail(requests, "Redis does not answer in time")
            if not isinstance(error, Exception):
                raise
            self._link.failed(error, began_s)
            return False
        return await self._take(settlements, requests, answers)

    def _arguments(self, settlements: Sequence[_Settlement], requests: Sequence[_Request]) -> list[bytes]:
        settled = [(each.lease, each.is_known, each.charges) for each in settlements]
        asked = [(each.lease, [_asked(charge, each.now_s) for charge in each.charges]) for each in requests]
        work = msgspec.msgpack.encode((settled, asked))
        return [self._prefix, self._owner, self._ttl_ms, b"1" if self._is_new else b"0", work]

    async def _take(self, settlements: Sequence[_Settlement], requests: Sequence[_Request], answers: bytes) -> bool:
        """Give the calls their answers; return `False` if there are none, as this process was taken to be dead."""
        if answers == EXPIRED:
            self._asked.extendleft(reversed(requests))
            self._unsettled.extendleft(reversed(settlements))
            former = self._owner
            self._begin_anew()
            await self._leave(former)
            return True
        self._is_new = False
        for request, answer in zip(requests, msgspec.msgpack.decode(answers), strict=True):
            if not request.answer.done():
                request.answer.set_result(answer)
            elif request.lease and not answer[0]:
                self._settle_soon(request.charges, request.lease, (), is_known=False)
        return True

    def _fail(self, requests: Sequence[_Request], problem: str) -> None:
        """Tell calls that were sent, and those that wait, that they are not counted; they are settled if they were."""
        for request in requests:
            if request.lease:
                self._settle_soon(request.charges, request.lease, (), is_known=False)
        for request in (*requests, *self._asked):
            if not request.answer.done():
                request.answer.set_exception(LedgerUnavailableError(problem))
        self._asked.clear()

    def _begin_anew(self) -> None:
        """Take a new id: Redis dropped what was reserved under the one before."""
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self._is_new = True

    async def _leave(self, owner: bytes) -> None:
        """End a process in Redis, within a second; else it ends by itself."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self._link.evaluate(LEAVE, [], [self._prefix, owner])
        except Exception as error:  # nothing waits for it
            self._link.failed(error, began_s)


def _asked(charge: Charge, now_s: float) -> tuple[object, ...]:
    meter, limit, amount, window, _ = charge
    if window is None:
        return (meter, limit, amount, False, 0)
    return (meter, limit, amount, window.period_at(now_s), window.weight_before(now_s))


def _read(state: _State) -> tuple[float, Stored | None, float]:
    """Return use and reservations together, the stored row, and the reservations of a meter."""
    total, period, used, before, held = state
    return float(total), None if period is False else (int(period), float(used), float(before)), float(held)
