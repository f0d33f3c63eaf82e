"""Turns what steps remember into scripts that Redis runs in one go, so that two processes never decide the same twice.

Each script gets a row of messages and answers what becomes of each. What a step remembers lies in a few keys that begin
alike (`KEYS[1]`): `:values` is a hash from keys of the step to values in MessagePack, of which the first is when it was
set; `:ages` holds these keys in the order in which they were set; `:due` when something is to be done with a key; and
`:items:KEY` the payloads of a window. Times are microseconds since 1970 by the clock of Redis.
"""

from functools import cached_property
from hashlib import sha1

#: Milliseconds for which the answer of a script is kept, for one that is asked again after the connection broke.
KEPT_ANSWER = 60_000

#: Milliseconds after which a process that says nothing is taken for dead.
LIFE = 6_000

#: Keys that one call lets ring: the others are for the next one, of whichever process.
MOST_RINGS = 100

_PRELUDE = """
local base, answer = KEYS[1], KEYS[2]
local call = ARGV[2]
if ARGV[3] == '1' then
  local known = redis.call('GET', answer)
  if known then
    local said = cmsgpack.unpack(known)
    if said[1] == call then return said[2] end
  end
end
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local token, alive = ARGV[4], ARGV[5]
local most, ttl, lasting = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local values, ages, due = base .. ':values', base .. ':ages', base .. ':due'
local evicted, newest = 0, nil

local function items_of(key) return base .. ':items:' .. key end

local function forget(key)
  redis.call('HDEL', values, key)
  redis.call('ZREM', ages, key)
  if RINGS then redis.call('ZREM', due, key) end
  if ITEMS then redis.call('DEL', items_of(key)) end
end

local function get(key)
  local text = redis.call('HGET', values, key)
  if not text then return nil end
  local value = cmsgpack.unpack(text)
  if ttl and now - value[1] >= ttl - 1 then
    forget(key)
    return nil
  end
  return value
end

local function put(key, value) redis.call('HSET', values, key, cmsgpack.pack(value)) end

local function set(key, value)
  value[1] = now
  put(key, value)
  if not newest then newest = tonumber(redis.call('ZREVRANGE', ages, 0, 0, 'WITHSCORES')[2] or 0) end
  newest = math.max(now, newest + 1)
  redis.call('ZADD', ages, newest, key)
  local over = redis.call('ZCARD', ages) - most
  if over > 0 then
    for _, old in ipairs(redis.call('ZRANGE', ages, 0, over - 1)) do
      forget(old)
      evicted = evicted + 1
    end
  end
end

local function forget_old(age)
  while true do
    local first = redis.call('ZRANGE', ages, 0, 0)[1]
    if not first then return end
    local value = redis.call('HGET', values, first)
    if value and now - cmsgpack.unpack(value)[1] < age - 1 then return end
    forget(first)
  end
end

local function finish(results)
  redis.call('PEXPIRE', values, lasting)
  redis.call('PEXPIRE', ages, lasting)
  local wait = -1
  if RINGS then
    redis.call('PEXPIRE', due, lasting)
    local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
    if first[2] then wait = math.max(tonumber(first[2]) - now, 0) end
  end
  local said = {evicted, redis.call('HLEN', values), wait, results}
  redis.call('SET', answer, cmsgpack.pack({call, said}), 'PX', KEPT_ANSWER)
  return said
end

if ttl then forget_old(ttl) end
"""

# What a message that passed is marked with until it is finished: who works on it. 0: it passes no more, 1: whoever
# worked on it is dead, and it passes again, 2: another process works on it, and nobody knows yet.
_OWNERS = """
local function standing(owner, mine)
  if owner == '' then return 0 end
  local whose = string.match(owner, '^[^:]*')
  if whose == token then return 0 end
  if redis.call('EXISTS', alive .. whose) == 0 then return 1 end
  return mine == '' and 0 or 2
end

local has_owner = false
local function own(owner)
  if owner ~= '' and not has_owner then
    has_owner = true
    redis.call('SET', alive .. token, '1', 'PX', LIFE)
  end
  return owner
end
"""

_DEDUPE = """
local longest = tonumber(ARGV[9])
if longest then forget_old(longest) end
local results = {}
for i = 10, #ARGV, 3 do
  local key, within, owner = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local known, verdict = get(key), 1
  if known and now - known[1] < within - 1 then verdict = standing(known[2], owner) end
  if verdict == 1 then set(key, {now, own(owner)}) end
  results[#results + 1] = verdict
end
return finish(results)
"""

_CHANGED = """
local function differs(old, new, band)
  if old == new then return false end
  if band > 0 and string.sub(old, 1, 1) == 'n' and string.sub(new, 1, 1) == 'n' then
    local a, b = tonumber(string.sub(old, 2)), tonumber(string.sub(new, 2))
    return math.abs(b - a) > band * (1 + 1e-9)
  end
  return true
end

local results = {}
for i = 9, #ARGV, 5 do
  local key, value, band, age, owner = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4]
  local known, verdict = get(key), 1
  if known and not differs(known[3], value, band) and not (age and now - known[1] >= age - 1) then
    verdict = standing(known[2], owner)
  end
  if verdict == 1 then set(key, {now, own(owner), value}) end
  results[#results + 1] = verdict
end
return finish(results)
"""

_SETTLE = """
redis.call('SET', alive .. token, '1', 'PX', LIFE)
for i = 9, #ARGV, 2 do
  local text = redis.call('HGET', values, ARGV[i])
  local value = text and cmsgpack.unpack(text)
  if value and value[2] == ARGV[i + 1] then
    value[2] = ''
    put(ARGV[i], value)
  end
end
return finish({})
"""

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
for i = 11, #ARGV, 2 do
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
for i = 11, #ARGV, 6 do
  local key, payload, held = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local every, last, gap = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  local found = {}
  if is_over(key) then
    redis.call('ZREM', due, key)
    found[1] = release(key)
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
  if is_counted and redis.call('LLEN', items_of(key)) >= most_items then found[#found + 1] = release(key) end
  results[#results + 1] = found
end
"""

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
for i = 11, #ARGV, 3 do
  watch(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
  results[#results + 1] = 1
end
"""

_RING = """
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now + 1, 'LIMIT', 0, MOST_RINGS)) do
  redis.call('ZREM', due, key)
  local one = release(key)
  if one then found[#found + 1] = one end
end
return finish(found)
"""

# A value is {since, until or false, JSON}. Answers: 0 there is none, 1 this is it, 2 it is no number, 3 neither is the
# default, 4 it is too large.
_VALUES = """
local function find(key)
  local value = get(key)
  if value and value[2] and now >= value[2] - 1 then
    forget(key)
    return nil
  end
  return value
end

local function keep(key, text, lifetime) set(key, {now, lifetime and now + lifetime or false, text}) end
"""

_GET = """
local results = {}
for i = 9, #ARGV, 2 do
  local value, age = find(ARGV[i]), tonumber(ARGV[i + 1])
  if not value or (age and now - value[1] >= age - 1) then
    results[#results + 1] = {0}
  else
    results[#results + 1] = {1, value[3]}
  end
end
return finish(results)
"""

_SET = """
local results = {}
for i = 9, #ARGV, 3 do
  keep(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
  results[#results + 1] = {1, ARGV[i + 1]}
end
return finish(results)
"""

_INCREMENT = """
local function sum(one, other)
  local total = tonumber(one) + tonumber(other)
  if string.find(one .. other, '[.eE]') then
    if total ~= total or total == math.huge or total == -math.huge then return nil end
    local text = string.format('%.17g', total)
    return string.find(text, '[.eE]') and text or text .. '.0'
  end
  return math.abs(total) < 9007199254740992 and string.format('%.0f', total) or nil
end

local results = {}
for i = 9, #ARGV, 4 do
  local key, amount, default, age = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local value = find(key)
  local text = default
  if value and not (age and now - value[1] >= age - 1) then text = value[3] else value = nil end
  if not string.find(text, '^%-?%d') then
    results[#results + 1] = value and {2, text} or {3}
  else
    local total = sum(text, amount)
    if total then
      keep(key, total, age)
      results[#results + 1] = {1, total}
    else
      results[#results + 1] = {4}
    end
  end
end
return finish(results)
"""


class Script:
    """A script with the sum by which Redis knows it. `rings` and `items` say what there is to forget with a key."""

    def __init__(self, name: str, body: str, *, rings: bool = False, items: bool = False) -> None:
        self.name = name
        names = {"RINGS": rings, "ITEMS": items, "KEPT_ANSWER": KEPT_ANSWER, "LIFE": LIFE, "MOST_RINGS": MOST_RINGS}
        head = "".join(f"local {name} = {str(value).lower()}\n" for name, value in names.items())
        self.text = f"{head}{_PRELUDE}{body}"

    @cached_property
    def sum(self) -> str:
        """Its SHA-1 in hexadecimal, as EVALSHA wants it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _holding(name: str, body: str, *, items: bool = False) -> tuple[Script, Script]:
    """The script that takes messages in, and the one that lets go those whose time has come."""
    take = Script(name, f"{body}\nreturn finish(results)", rings=True, items=items)
    return take, Script(f"{name} ring", f"{body}\n{_RING}", rings=True, items=items)


DEDUPE = Script("dedupe", _OWNERS + _DEDUPE)
CHANGED = Script("changed", _OWNERS + _CHANGED)
SETTLE = Script("settle", _SETTLE)
THROTTLE = Script("throttle", _TIMES + _THROTTLE)
LATEST, LATEST_RING = _holding("throttle last", _TIMES + _LATEST)
WINDOW, WINDOW_RING = _holding("window", _WINDOW, items=True)
TIMEOUT, TIMEOUT_RING = _holding("timeout", _TIMEOUT)
GET = Script("state get", _VALUES + _GET)
SET = Script("state set", _VALUES + _SET)
INCREMENT = Script("state increment", _VALUES + _INCREMENT)

ALL = (
    DEDUPE, CHANGED, SETTLE, THROTTLE, LATEST, LATEST_RING, WINDOW, WINDOW_RING, TIMEOUT, TIMEOUT_RING,
    GET, SET, INCREMENT,
)  # fmt: skip

#: Does once what all scripts do, on keys that it takes away again: whoever may not do it all hears so before any of it
#: is done. What a Redis without memory refuses comes first: after the first change it refuses nothing more.
CHECK = """
local text, hash, list = KEYS[1], KEYS[1] .. ':hash', KEYS[1] .. ':list'
local sorted, set = KEYS[1] .. ':sorted', KEYS[1] .. ':set'
redis.call('SET', text, '1', 'PX', 1000)
redis.call('PEXPIRE', text, 1000)
redis.call('DEL', text, hash, list, sorted, set)
redis.call('GET', text)
redis.call('EXISTS', text)
redis.call('TIME')
redis.call('HSET', hash, 'a', cmsgpack.pack({1}))
cmsgpack.unpack(redis.call('HGET', hash, 'a'))
redis.call('HKEYS', hash)
redis.call('HLEN', hash)
redis.call('HDEL', hash, 'a')
redis.call('RPUSH', list, 'a')
redis.call('LLEN', list)
redis.call('LINDEX', list, 0)
redis.call('LRANGE', list, 0, -1)
redis.call('LPOP', list)
redis.call('ZADD', sorted, 1, 'a')
redis.call('ZCARD', sorted)
redis.call('ZSCORE', sorted, 'a')
redis.call('ZRANGE', sorted, 0, 0)
redis.call('ZREVRANGE', sorted, 0, 0)
redis.call('ZRANGEBYSCORE', sorted, '-inf', 1)
redis.call('ZREM', sorted, 'a')
redis.call('SADD', set, 'a')
redis.call('SMEMBERS', set)
redis.call('SREM', set, 'a')
return 1
"""
