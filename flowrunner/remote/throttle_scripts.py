"""Scripts of the step `throttle`: one that drops what is too much, and one that holds the latest of it."""

from flowrunner.remote.lease_scripts import holding
from flowrunner.remote.script import Script

_TIMES = """
local rate, seconds = tonumber(ARGV[9]), tonumber(ARGV[10])

local function next_time(times)
  while times[1] and (now - times[1] >= seconds - 1 or #times > rate) do table.remove(times, 1) end
  return #times == rate and times[1] + seconds or now
end

local function count(key, value)
  table.insert(value[2], now)
  set(key, value)
end
"""

_THROTTLE = """
forget_old(seconds)
local results = {}
for i = 11, #ARGV do
  local value = get(ARGV[i]) or {now, {}}
  local passes = next_time(value[2]) <= now
  if passes then count(ARGV[i], value) end
  results[#results + 1] = passes and 1 or 0
end
return finish(results)
"""

_LATEST = """
local function release(key)
  local value = get(key)
  if not value or not value[3] then return nil end
  local held = value[3]
  value[3] = false
  next_time(value[2])
  count(key, value)
  return {held}
end

local results = {}
for i = 12, #ARGV, 2 do
  local key, held = ARGV[i], ARGV[i + 1]
  local value = get(key) or {now, {}, false}
  local when = next_time(value[2])
  if when > now or value[3] then
    value[3] = held
    set(key, value)
    redis.call('ZADD', due, when, key)
    results[#results + 1] = 0
  else
    count(key, value)
    results[#results + 1] = 1
  end
end
"""

THROTTLE = Script("throttle", _TIMES + _THROTTLE)
LATEST, LATEST_RING = holding("throttle last", _TIMES + _LATEST)
