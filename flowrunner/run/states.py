"""Turns what the steps of a flow remember into what is shown of it: what waits, and when its time has come."""

from collections.abc import Hashable, Mapping
from heapq import nsmallest
from typing import Any, Protocol

from flowrunner.clock import Clock
from flowrunner.lines import Line
from flowrunner.memory import Deadlines, Memory

#: Times that are shown of a step, the nearest ones.
_MOST = 3
_LONGEST_KEY = 40

Shown = dict[str, Any]


class Keeps(Protocol):
    """A flow whose steps may keep something."""

    @property
    def states(self) -> Mapping[str, tuple[Hashable, object]]:
        """What they keep, by name and with its shape."""


def show_states(flow: Keeps, clock: Clock) -> dict[str, Shown]:
    """What each step of a flow remembers, by its name; steps without anything are left out."""
    shown = ((name, show_state(state, clock)) for name, (_, state) in flow.states.items())
    return {name: found for name, found in shown if found}


def show_state(state: object, clock: Clock) -> Shown:
    """How much one step remembers (`keys`, `waiting`), and what is `due` in how many seconds.

    What lies in Redis `is_common`: all runners remember the same.
    """
    found: Shown = {}
    if isinstance(state, Line):
        waiting = len(state.waiting) + len(state.working)
        return {**({"waiting": waiting} if waiting else {}), **getattr(state, "remembered", {})}
    if isinstance(state, Memory):
        found = {"keys": len(state)} if len(state) else {}
        if state.evicted:
            found["evicted"] = state.evicted
    elif waiting := len(getattr(state, "waiting", ())):
        found = {"waiting": waiting}
    deadlines = getattr(getattr(state, "owner", None), "deadlines", None)
    if isinstance(deadlines, Deadlines) and deadlines.due:
        now = clock.time()
        nearest = nsmallest(_MOST, deadlines.due.items(), key=lambda pair: pair[1])
        found["due"] = [
            {"key": _key(state, key), "in": round(max(when - now, 0.0), 3), **_inside(state, key)}
            for key, when in nearest
        ]
    return found


def _inside(state: object, key: Any) -> Shown:
    """How many messages a window holds."""
    value = state.values.get(key) if isinstance(state, Memory) else None
    items = getattr(value[0], "items", None) if value else None
    return {"items": len(items)} if items is not None and hasattr(items, "popleft") else {}


def _key(state: object, key: Any) -> str:
    if not isinstance(state, Memory):  # a number that means nothing outside
        return ""
    text = key[0] if isinstance(key, tuple) and key and isinstance(key[0], bytes | str) else key
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return shown[:_LONGEST_KEY]
