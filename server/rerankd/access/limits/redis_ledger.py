"""Ledger in a Redis that replicas share: one atomic script to reserve, one to settle."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rerankd.access.limits.ledger import (
    HEARTBEAT_S,
    OWNER_TTL_S,
    Charge,
    Lease,
    LedgerUnavailableError,
    Reading,
    Refusal,
    retry_after_s,
    value_of,
)
from rerankd.access.limits.patience import until_silent
from rerankd.cache.redis_link import RedisLink

_MAX_UNSETTLED: Final = 10_000
"""Calls whose end waits for Redis; older ones are dropped, and their reservations end with this process."""
_SETTLE_TIMEOUT_S: Final = 1.0
_UNLIMITED: Final = 1e300

_COMMON: Final = """
local prefix, owner, lease = ARGV[1], ARGV[2], ARGV[3]
local leases = prefix .. 'leases:' .. owner
local function state(meter)
  local row = redis.call('HMGET', prefix .. 'meter:' .. meter, 'period', 'used', 'before')
  local held, kept = 0, redis.call('HGETALL', prefix .. 'held:' .. meter)
  for i = 1, #kept, 2 do
    if redis.call('EXISTS', prefix .. 'owner:' .. kept[i]) == 1 then held = held + tonumber(kept[i + 1])
    else redis.call('HDEL', prefix .. 'held:' .. meter, kept[i]) end
  end
  return row, held
end
"""
_ACQUIRE: Final = (
    _COMMON
    + """
local ttl_ms, checks = ARGV[4], ARGV[5] == '1'
redis.call('SET', prefix .. 'owner:' .. owner, '1', 'PX', ttl_ms)
local answer, charges = {}, {}
for i = 6, #ARGV, 5 do
  local meter, limit, amount = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local period, weight = ARGV[i + 3], ARGV[i + 4]
  local row, held = state(meter)
  local used = 0
  if period ~= '' and row[1] then
    local stored = tonumber(row[1])
    if stored >= tonumber(period) then used = tonumber(row[2]) + tonumber(row[3]) * tonumber(weight)
    elseif stored == tonumber(period) - 1 then used = tonumber(row[2]) * tonumber(weight) end
  end
  answer[#answer + 1] = {tostring(used + held), row[1] or '', row[2] or '0', row[3] or '0', tostring(held)}
  charges[#charges + 1] = {meter, amount}
  if checks and used + held + amount > limit * (1 + 1e-9) then return {#answer, answer} end
end
if checks then
  for _, charge in ipairs(charges) do
    redis.call('HINCRBYFLOAT', prefix .. 'held:' .. charge[1], owner, charge[2])
    redis.call('PEXPIRE', prefix .. 'held:' .. charge[1], 86400000)
  end
  redis.call('HSET', leases, lease, '1')
  redis.call('PEXPIRE', leases, ttl_ms)
end
return {0, answer}
"""
)
"""Reserve, or only read: the number of the charge that does not fit (0: none), and the state of each meter before."""
_SETTLE: Final = """
local prefix, owner, lease = ARGV[1], ARGV[2], ARGV[3]
local is_held = redis.call('HDEL', prefix .. 'leases:' .. owner, lease) == 1
if not is_held and ARGV[4] ~= '1' then return 0 end
for i = 5, #ARGV, 5 do
  local meter, amount, used, period, expires_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if is_held then
    local left = tonumber(redis.call('HINCRBYFLOAT', prefix .. 'held:' .. meter, owner, '-' .. amount))
    if left <= 1e-12 then redis.call('HDEL', prefix .. 'held:' .. meter, owner) end
  end
  if period ~= '' and tonumber(used) > 0 then
    local key = prefix .. 'meter:' .. meter
    local stored = tonumber(redis.call('HGET', key, 'period'))
    if stored and stored >= tonumber(period) then redis.call('HINCRBYFLOAT', key, 'used', used)
    else
      local before = 0
      if stored and stored == tonumber(period) - 1 then before = redis.call('HGET', key, 'used') end
      redis.call('HSET', key, 'period', period, 'used', used, 'before', before)
    end
    redis.call('PEXPIREAT', key, expires_ms)
  end
end
return 1
"""
"""Settle a call once: again does nothing. A lease that has expired is counted at the first attempt only."""
_BEAT: Final = """
redis.call('SET', ARGV[1] .. 'owner:' .. ARGV[2], '1', 'PX', ARGV[3])
redis.call('PEXPIRE', ARGV[1] .. 'leases:' .. ARGV[2], ARGV[3])
"""
_LEAVE: Final = """
redis.call('DEL', ARGV[1] .. 'owner:' .. ARGV[2], ARGV[1] .. 'leases:' .. ARGV[2])
"""


class RedisLedger:
    """Counts in Redis. Satisfies `Ledger`; one for each process.

    Args:
        link: The connection; started and closed with this object.
        prefix: First part of every key.
        timeout_s: Longest silence of Redis that a call waits for.
        clock: Unix time in seconds.
    """

    def __init__(self, link: RedisLink, prefix: str, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self._link = link
        self._prefix = f"{{{prefix}}}:limits:".encode()
        self._timeout_s = timeout_s
        self._clock = clock
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self._ttl_ms = b"%d" % (OWNER_TTL_S * 1000)
        self._unsettled: deque[list[bytes]] = deque(maxlen=_MAX_UNSETTLED)
        self._has_unsettled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """See `Ledger`."""
        await self._link.start()
        self._tasks = [
            asyncio.create_task(self._keep_beating(), name="limits-heartbeat"),
            asyncio.create_task(self._keep_settling(), name="limits-settling"),
        ]

    async def close(self) -> None:
        """See `Ledger`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._settle_waiting()
        await self._run(_LEAVE, [self._prefix, self._owner])
        await self._link.close()

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """See `Ledger`."""
        now_s, lease_id = self._clock(), secrets.token_hex(8)
        refused, states = await self._ask(charges, lease_id, now_s, reserves=True)
        if refused:
            used, row, held = _state_of(states[refused - 1])
            charge = charges[refused - 1]
            return Refusal(Reading(charge, used), retry_after_s(charge, row, held, now_s))
        readings = [
            Reading(charge, _state_of(state)[0] + charge.amount) for charge, state in zip(charges, states, strict=True)
        ]
        return Lease(readings, lease_id)

    def settle(self, lease: Lease, used: Mapping[str, float]) -> None:
        """See `Ledger`."""
        if lease.is_settled:
            return
        lease.is_settled = True
        self._settle_soon([reading.charge for reading in lease.readings], lease.id, used, is_known=True)

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """See `Ledger`."""
        now_s = self._clock()
        _, states = await self._ask(charges, "", now_s, reserves=False)
        rows = [_state_of(state) for state in states]
        return [
            Reading(charge, value_of(charge.window, row, now_s) + held)
            for charge, (_, row, held) in zip(charges, rows, strict=True)
        ]

    async def _ask(self, charges: Sequence[Charge], lease: str, now_s: float, *, reserves: bool) -> Any:
        arguments = [self._prefix, self._owner, lease.encode(), self._ttl_ms, b"1" if reserves else b"0"]
        for charge in charges:
            window = charge.window
            arguments += [
                charge.meter.encode(),
                repr(min(charge.limit, _UNLIMITED)).encode(),
                repr(charge.amount).encode(),
                b"" if window is None else b"%d" % window.period_at(now_s),
                b"0" if window is None else repr(window.weight_before(now_s)).encode(),
            ]
        if not self._link.is_up:
            raise LedgerUnavailableError("Redis is away")
        began_s = time.monotonic()
        try:
            async with until_silent(self._timeout_s, lambda: self._link.answered_s):
                return await self._link.evaluate(_ACQUIRE, [], arguments)
        except BaseException as error:
            if reserves:
                self._settle_soon(charges, lease, {}, is_known=False)
            if not isinstance(error, Exception):
                raise
            self._link.failed(error, began_s)
            raise LedgerUnavailableError("Redis does not answer in time") from None

    def _settle_soon(self, charges: Sequence[Charge], lease: str, used: Mapping[str, float], *, is_known: bool) -> None:
        """Queue a settlement; `is_known`: whether the call is known to have been admitted."""
        now_s = self._clock()
        arguments = [self._prefix, self._owner, lease.encode(), b"1" if is_known else b"0"]
        for charge in charges:
            window = charge.window
            arguments += [
                charge.meter.encode(),
                repr(charge.amount).encode(),
                repr(used.get(charge.meter, 0.0)).encode(),
                b"" if window is None else b"%d" % window.period_at(now_s),
                b"0" if window is None else b"%d" % (window.expiry_s(now_s) * 1000),
            ]
        self._unsettled.append(arguments)
        self._has_unsettled.set()

    async def _send(self, arguments: list[bytes]) -> bool:
        """Settle within a second; return whether it is done."""
        if not self._link.is_up:
            return False
        attempt = list(arguments)
        arguments[3] = b"0"
        return await self._run(_SETTLE, attempt)

    async def _run(self, script: str, arguments: Sequence[bytes]) -> bool:
        """Run a script that nobody waits for, within a second; return whether it is done."""
        if not self._link.is_up:
            return False
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(_SETTLE_TIMEOUT_S):
                await self._link.evaluate(script, [], arguments)
        except Exception as error:  # tried again with the next heartbeat
            self._link.failed(error, began_s)
            return False
        return True

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._run(_BEAT, [self._prefix, self._owner, self._ttl_ms])
            self._has_unsettled.set()

    async def _keep_settling(self) -> None:
        while True:
            await self._has_unsettled.wait()
            self._has_unsettled.clear()
            await self._settle_waiting()

    async def _settle_waiting(self) -> None:
        while self._unsettled and await self._send(self._unsettled[0]):
            self._unsettled.popleft()


def _state_of(state: Sequence[bytes]) -> tuple[float, tuple[int, float, float] | None, float]:
    """Return use and reservations together, the stored row, and the reservations of a meter."""
    total, period, used, before, held = state
    row = (int(period), float(used), float(before)) if period else None
    return float(total), row, float(held)
