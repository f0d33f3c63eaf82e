"""Turns what steps remember in Redis into how much that is, for those who look at a runner."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from flowrunner.remote.script import Script
from flowrunner.remote.step import TurnLine
from flowrunner.remote.worker import RemoteWorker

#: Seconds that a look waits for Redis; then the last one is shown.
PATIENCE = 1.0

#: Keys that are shown of a step: those whose time comes first.
_MOST = 3
_LONGEST_KEY = 40

_LOOK = """
local base, now = KEYS[1], tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local rows, nearest = {}, redis.call('ZRANGE', base .. ':due', 0, MOST - 1, 'WITHSCORES')
for i = 1, #nearest, 2 do
  local items = redis.call('LLEN', base .. ':items:' .. nearest[i])
  rows[#rows + 1] = {nearest[i], math.max(tonumber(nearest[i + 1]) - now, 0), items}
end
return {0, redis.call('HLEN', base .. ':values'), -1, rows}
"""

LOOK = Script("look", _LOOK.replace("MOST", str(_MOST)), is_bare=True)


async def look(states: Iterable[object]) -> None:
    """Have workers know how much their steps remember: one round trip for all. A value that several use counts once.

    Where Redis does not answer at once, what was seen last stays.
    """
    workers: dict[str, RemoteWorker] = {}
    for state in states:
        if isinstance(state, TurnLine) and state.owner is not None:
            workers.setdefault(state.owner.path, state.owner)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_look(worker) for worker in workers.values()), return_exceptions=True)


async def _look(worker: RemoteWorker) -> None:
    answer = await worker.remote.call(LOOK, worker.path, worker.limits, ())
    found: dict[str, Any] = {"keys": answer.keys} if answer.keys else {}
    if worker.evicted:
        found["evicted"] = worker.evicted
    if answer.results:
        found["due"] = [
            {"key": shown_key(key), "in": round(wait / 1e6, 3), **({"items": items} if items else {})}
            for key, wait, items in answer.results
        ]
    worker.seen = {**found, "is_common": True} if found else {}


def shown_key(key: bytes) -> str:
    """The key of a step as it is shown: without the letter for its kind."""
    return key[1:].decode("utf-8", "replace")[:_LONGEST_KEY]
