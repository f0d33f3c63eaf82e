"""Turns what steps remember into scripts that Redis runs in one go, so that two processes never decide the same twice.

Each script gets a row of messages and answers what becomes of each. What a step remembers lies in a few keys that begin
alike (`KEYS[1]`): `:values` is a hash from keys of the step to values in MessagePack, of which the first is when it was
set; `:ages` holds these keys in the order in which they were set; `:due` when something is to be done with a key;
`:items:KEY` the payloads of a window. `:owners` are the workers to whom something was lent, and `:lent:OWNER` what that
is, by its number. Times are microseconds since 1970 by the clock of Redis.
"""

from functools import cached_property
from hashlib import sha1

#: Milliseconds for which the answer of a script is kept, for one that is asked again after the connection broke.
KEPT_ANSWER = 60_000

#: Milliseconds after which a process that says nothing is taken for dead.
LIFE = 6_000

#: Milliseconds for which is kept what was lent and never returned, should nobody look for it.
KEPT_LEASE = 400 * 86_400_000

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

local function finish(results, are_more)
  redis.call('PEXPIRE', values, lasting)
  redis.call('PEXPIRE', ages, lasting)
  local wait = -1
  if RINGS then
    redis.call('PEXPIRE', due, lasting)
    local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
    if first[2] then wait = math.max(tonumber(first[2]) - now, 0) end
    if are_more then wait = 0 end
  end
  local said = {evicted, redis.call('HLEN', values), wait, results}
  redis.call('SET', answer, cmsgpack.pack({call, said}), 'PX', KEPT_ANSWER)
  return said
end

if ttl then forget_old(ttl) end
"""


class Script:
    """A script with the sum by which Redis knows it. `rings` and `items` say what there is to forget with a key.

    One that `is_bare` changes nothing, and stands for itself.
    """

    def __init__(
        self, name: str, body: str, *, rings: bool = False, items: bool = False, is_bare: bool = False
    ) -> None:
        self.name = name
        numbers = {"KEPT_ANSWER": KEPT_ANSWER, "KEPT_LEASE": KEPT_LEASE, "LIFE": LIFE, "MOST_RINGS": MOST_RINGS}
        names = {"RINGS": rings, "ITEMS": items, **numbers}
        head = "".join(f"local {name} = {str(value).lower()}\n" for name, value in names.items())
        self.text = body if is_bare else f"{head}{_PRELUDE}{body}"

    @cached_property
    def sum(self) -> str:
        """Its SHA-1 in hexadecimal, as EVALSHA wants it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()
