"""Scripts of the step `state`, with its named values."""

from flowrunner.remote.script import Script

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

GET = Script("state get", _VALUES + _GET)
SET = Script("state set", _VALUES + _SET)
INCREMENT = Script("state increment", _VALUES + _INCREMENT)
