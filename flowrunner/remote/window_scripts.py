"""Scripts of the step `window`."""

from flowrunner.remote.lease_scripts import holding

# A window is {since, due or false, every or false, last or false, the last message}.
_WINDOW = """
local most_items, is_counted = tonumber(ARGV[9]), ARGV[10] == '1'

local function until_boundary(every) return (math.floor((now + 1) / every) + 1) * every end

local function arm(key, window, when)
  window[2] = when
  redis.call('ZADD', due, when, key)
end

local function release(key)
  local window = get(key)
  if not window then return nil end
  window[2] = false
  local last = window[4]
  if last then
    while true do
      local first = redis.call('LINDEX', items_of(key), 0)
      if not first or now - tonumber(string.match(first, '^%d+')) <= last + 1 then break end
      redis.call('LPOP', items_of(key))
    end
    if redis.call('LLEN', items_of(key)) == 0 then
      forget(key)
      return nil
    end
    arm(key, window, until_boundary(window[3]))
    put(key, window)
  end
  local found = {window[5]}
  for _, item in ipairs(redis.call('LRANGE', items_of(key), 0, -1)) do
    found[#found + 1] = string.match(item, '^%d+ (.*)$')
  end
  if not last then forget(key) end
  return found
end

local function is_over(key)
  local when = redis.call('ZSCORE', due, key)
  return when and tonumber(when) <= now + 1
end

local results = {}
for i = 12, #ARGV, 6 do
  local key, payload, held = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local every, last, gap = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  local found = {}
  if is_over(key) then
    redis.call('ZREM', due, key)
    local over = release(key)
    if over then found[1] = lend(over) end
  end
  local window = get(key)
  if not window then
    window = {now, false}
    redis.call('DEL', items_of(key))
  end
  redis.call('RPUSH', items_of(key), string.format('%.0f', now) .. ' ' .. payload)
  if redis.call('LLEN', items_of(key)) > most_items then
    redis.call('LPOP', items_of(key))
    evicted = evicted + 1
  end
  redis.call('PEXPIRE', items_of(key), lasting)
  window[3], window[4], window[5] = every or false, last or false, held
  if gap then
    window[2] = now + gap
  elseif every and not window[2] then
    window[2] = until_boundary(every)
  end
  set(key, window)
  if window[2] then redis.call('ZADD', due, window[2], key) end
  if is_counted and redis.call('LLEN', items_of(key)) >= most_items then found[#found + 1] = lend(release(key)) end
  results[#results + 1] = found
end
"""

WINDOW, WINDOW_RING = holding("window", _WINDOW, items=True)
