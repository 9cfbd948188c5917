"""Scripts that count in Redis, each one atomic step.

Keys, all with one hash tag: `meter:NAME` has period, use in it and use in the period before; `held:NAME` what each
process has reserved; `owner:ID` is there while the process lives; `leases:ID` has its reservations by id.
"""

from __future__ import annotations

from typing import Final

EXPIRED: Final = b"expired"
"""Answer of `BATCH` to a process that was taken to be dead, which has nothing reserved any more: nothing was done."""
BATCH: Final = """
local prefix, owner, ttl_ms, is_new = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
if not is_new and redis.call('EXISTS', prefix .. 'owner:' .. owner) == 0 then return 'expired' end
local work = cmsgpack.unpack(ARGV[5])
local leases, meters, living = prefix .. 'leases:' .. owner, {}, {[owner] = true}
redis.call('SET', prefix .. 'owner:' .. owner, '1', 'PX', ttl_ms)

local function lives(id)
  if living[id] == nil then living[id] = redis.call('EXISTS', prefix .. 'owner:' .. id) == 1 end
  return living[id]
end

local function meter_of(name)
  if meters[name] then return meters[name] end
  local row = redis.call('HMGET', prefix .. 'meter:' .. name, 'period', 'used', 'before')
  local meter = {period = tonumber(row[1]) or false, used = tonumber(row[2]) or 0, before = tonumber(row[3]) or 0}
  meter.held, meter.reserved, meter.more = 0, 0, 0
  local kept = redis.call('HGETALL', prefix .. 'held:' .. name)
  for i = 1, #kept, 2 do
    if lives(kept[i]) then meter.held = meter.held + tonumber(kept[i + 1])
    else redis.call('HDEL', prefix .. 'held:' .. name, kept[i]) end
  end
  meters[name] = meter
  return meter
end

local function use(meter, used, period, expires_ms)
  if meter.period and meter.period >= period then meter.used, meter.more = meter.used + used, meter.more + used
  else
    meter.before = meter.period == period - 1 and meter.used or 0
    meter.period, meter.used, meter.is_new = period, used, true
  end
  meter.expires_ms = expires_ms
end

local function used_of(meter, period, weight)
  if not period or not meter.period then return 0 end
  if meter.period >= period then return meter.used + meter.before * weight end
  return meter.period == period - 1 and meter.used * weight or 0
end

for _, settlement in ipairs(work[1]) do
  local is_held = redis.call('HDEL', leases, settlement[1]) == 1
  if is_held or settlement[2] then
    for _, each in ipairs(settlement[3]) do
      local meter = meter_of(each[1])
      if is_held then meter.held, meter.reserved = meter.held - each[2], meter.reserved - each[2] end
      if each[4] and each[3] > 0 then use(meter, each[3], each[4], each[5]) end
    end
  end
end

local answers = {}
for _, request in ipairs(work[2]) do
  local lease, charges, refused, states = request[1], request[2], 0, {}
  for i, each in ipairs(charges) do
    local meter = meter_of(each[1])
    local used = used_of(meter, each[4], each[5]) + meter.held
    states[i] = {used, meter.period, meter.used, meter.before, meter.held}
    if lease ~= '' and used + each[3] > each[2] * (1 + 1e-9) then refused = i; break end
  end
  if lease ~= '' and refused == 0 then
    redis.call('HSET', leases, lease, '1')
    for _, each in ipairs(charges) do
      local meter = meter_of(each[1])
      meter.held, meter.reserved = meter.held + each[3], meter.reserved + each[3]
    end
  end
  answers[#answers + 1] = {refused, states}
end

for name, meter in pairs(meters) do
  if meter.reserved ~= 0 then
    local key = prefix .. 'held:' .. name
    local left = tonumber(redis.call('HINCRBYFLOAT', key, owner, string.format('%.17g', meter.reserved)))
    if left <= 1e-12 then redis.call('HDEL', key, owner) end
    redis.call('PEXPIRE', key, 86400000)
  end
  local key = prefix .. 'meter:' .. name
  if meter.is_new then
    redis.call('HSET', key, 'period', string.format('%.0f', meter.period), 'used', string.format('%.17g', meter.used),
      'before', string.format('%.17g', meter.before))
  elseif meter.more ~= 0 then redis.call('HINCRBYFLOAT', key, 'used', string.format('%.17g', meter.more)) end
  if meter.expires_ms then redis.call('PEXPIREAT', key, string.format('%.0f', meter.expires_ms)) end
end
redis.call('PEXPIRE', leases, ttl_ms)
return cmsgpack.pack(answers)
"""
"""Settle calls, then reserve for others, in this order, and tell that the process lives.

Arguments: prefix, id of the process, milliseconds until it is taken to be dead, `1` if it may be new, and MessagePack
of settlements and requests. A settlement is its id, whether it counts although nothing is reserved by that id, and for
each charge meter, amount, use, period or false, and Unix time in milliseconds at which the meter expires. A request is
its id, empty to read only, and for each charge meter, limit, amount, period or false, and weight of the period before.

Answer: MessagePack of, for each request, the number of the charge that does not fit (0: none), and for each charge up
to that one what is used and reserved together, period or false, use in it, use in the period before, what is reserved.
"""
LEAVE: Final = """
redis.call('DEL', ARGV[1] .. 'owner:' .. ARGV[2], ARGV[1] .. 'leases:' .. ARGV[2])
"""
"""End a process, and with it its reservations."""
