"""Scripts of the steps that hold messages: what goes on is lent to a worker, which returns it when all is done."""

from flowrunner.remote.script import Script

# What goes on is lent to a worker until all is done with it; what was lent to one that is dead is lent anew.
_LEASES = """
local owner = ARGV[11]
local owners, numbered = base .. ':owners', 0

local function lent_to(one) return base .. ':lent:' .. one end

local function lend(found)
  numbered = numbered + 1
  local number, mine = call .. '.' .. numbered, lent_to(owner)
  redis.call('HSET', mine, number, cmsgpack.pack(found))
  redis.call('PEXPIRE', mine, KEPT_LEASE)
  if numbered == 1 then
    redis.call('SADD', owners, owner)
    redis.call('PEXPIRE', owners, KEPT_LEASE)
    redis.call('SET', alive .. owner, '1', 'PX', LIFE)
  end
  table.insert(found, 1, number)
  return found
end

local function lend_anew(found)
  for _, other in ipairs(redis.call('SMEMBERS', owners)) do
    if other ~= owner and redis.call('EXISTS', alive .. other) == 0 then
      for _, number in ipairs(redis.call('HKEYS', lent_to(other))) do
        if #found >= MOST_RINGS then return end
        found[#found + 1] = lend(cmsgpack.unpack(redis.call('HGET', lent_to(other), number)))
        redis.call('HDEL', lent_to(other), number)
      end
      redis.call('SREM', owners, other)
    end
  end
end
"""

_RING = """
local found = {}
lend_anew(found)
for _, key in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now + 1, 'LIMIT', 0, MOST_RINGS - #found)) do
  redis.call('ZREM', due, key)
  local one = release(key)
  if one then found[#found + 1] = lend(one) end
end
return finish(found, #found >= MOST_RINGS)
"""

_RETURN = """
local owner = ARGV[9]
local lent = base .. ':lent:' .. owner
redis.call('SET', alive .. owner, '1', 'PX', LIFE)
for i = 10, #ARGV do redis.call('HDEL', lent, ARGV[i]) end
if redis.call('EXISTS', lent) == 0 then redis.call('SREM', base .. ':owners', owner) end
return finish({})
"""


def holding(name: str, body: str, *, items: bool = False) -> tuple[Script, Script]:
    """The script that takes messages in, and the one that lets go those whose time has come."""
    take = Script(name, f"{_LEASES}{body}\nreturn finish(results)", rings=True, items=items)
    return take, Script(f"{name} ring", f"{_LEASES}{body}\n{_RING}", rings=True, items=items)


RETURN = Script("return", _RETURN)
