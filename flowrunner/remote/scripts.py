"""All scripts, which a Redis learns when we connect to it, and one that tells whether it would run them."""

from flowrunner.remote.gate_scripts import CHANGED, DEDUPE, SETTLE
from flowrunner.remote.lease_scripts import RETURN
from flowrunner.remote.looking import LOOK
from flowrunner.remote.throttle_scripts import LATEST, LATEST_RING, THROTTLE
from flowrunner.remote.timeout_scripts import TIMEOUT, TIMEOUT_RING
from flowrunner.remote.value_scripts import GET, INCREMENT, SET
from flowrunner.remote.window_scripts import WINDOW, WINDOW_RING

ALL = (
    DEDUPE, CHANGED, SETTLE, RETURN, THROTTLE, LATEST, LATEST_RING, WINDOW, WINDOW_RING, TIMEOUT, TIMEOUT_RING,
    GET, SET, INCREMENT, LOOK,
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
