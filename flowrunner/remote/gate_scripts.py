"""Scripts of the steps that let a message pass or not: `dedupe` and `changed`, and what is finished of it."""

from flowrunner.remote.script import Script

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

DEDUPE = Script("dedupe", _OWNERS + _DEDUPE)
CHANGED = Script("changed", _OWNERS + _CHANGED)
SETTLE = Script("settle", _SETTLE)
