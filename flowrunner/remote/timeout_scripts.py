"""Scripts of the step `timeout`."""

from flowrunner.remote.lease_scripts import holding

_TIMEOUT = """
local is_repeated, armed = ARGV[9] == '1', tonumber(ARGV[10])

local function watch(key, held, seconds)
  set(key, {now, held, seconds})
  redis.call('ZADD', due, now + seconds, key)
end

local function release(key)
  local value = get(key)
  if not value then return nil end
  if is_repeated then redis.call('ZADD', due, now + value[3], key) end
  return {value[2]}
end

if armed and not get('t') then watch('t', 'null', armed) end
local results = {}
for i = 12, #ARGV, 3 do
  watch(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
  results[#results + 1] = 1
end
"""

TIMEOUT, TIMEOUT_RING = holding("timeout", _TIMEOUT)
