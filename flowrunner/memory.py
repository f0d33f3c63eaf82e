"""Turns keys into what a step remembers of them, within bounds: the oldest goes when there are too many."""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from flowrunner.clock import Clock, Timer
from flowrunner.jsons import dumps

Value = TypeVar("Value")
Key = Any  # hashable: see as_key

#: What a message is while a step holds it: its names and their values.
Held = dict[str, Any]

MOST_KEYS = 10_000


def as_key(value: Any) -> Key:
    """A value as a key: texts and numbers as they are (1 and 1.0 are one key), everything else by its JSON."""
    if isinstance(value, str | bytes) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return (dumps(value),)


class Memory(Generic[Value]):
    """Values by key. A key is forgotten `ttl` seconds after it was last set, and the oldest where there are too many.

    `evicted` counts those that had to go for want of room; `on_forget` hears of every key that goes without being
    asked to.
    """

    def __init__(self, clock: Clock, *, max_keys: int = MOST_KEYS, ttl: float | None = None) -> None:
        self.clock = clock
        self.max_keys = max_keys
        self.ttl = ttl
        self.evicted = 0
        self.values: dict[Key, tuple[Value, float]] = {}
        self.on_forget: Callable[[Value], object] = _nothing

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self.values))

    def get(self, key: Key) -> Value | None:
        """The value of a key, None if there is none or it is too old."""
        found = self.values.get(key)
        if found is None:
            return None
        if self.ttl is not None and self.clock.time() - found[1] >= self.ttl:
            self.forget(key)
            return None
        return found[0]

    def peek(self, key: Key) -> Value | None:
        """The value of a key, however old it is."""
        found = self.values.get(key)
        return None if found is None else found[0]

    def set(self, key: Key, value: Value) -> None:
        """Remember a value; its key is the youngest now."""
        self.values.pop(key, None)
        self.values[key] = (value, self.clock.time())
        while len(self.values) > self.max_keys:
            self.forget(next(iter(self.values)))
            self.evicted += 1
        if self.ttl is not None:
            self.forget_old(self.clock.time() - self.ttl)

    def pop(self, key: Key) -> Value | None:
        """Take a value out."""
        found = self.values.pop(key, None)
        return None if found is None else found[0]

    def forget_old(self, before: float) -> None:
        """Forget what was last set at that time or earlier; the order of the keys is that of their age."""
        for key, (_, since) in list(self._oldest(before)):
            del since
            self.forget(key)

    def _oldest(self, before: float) -> Iterator[tuple[Key, tuple[Value, float]]]:
        for key, entry in self.values.items():
            if entry[1] > before:
                return
            yield key, entry

    def forget(self, key: Key) -> None:
        """Let a key go, and say so."""
        value, _ = self.values.pop(key)
        self.on_forget(value)


def _nothing(_: Any) -> None:
    """Hear of a key that is gone."""


class Resume(Protocol):
    """How a message that a step held goes on."""

    def __call__(self, held: Held, /) -> None:
        """Run what comes behind the step; raises nothing."""


class Deadlines:
    """Calls `ring(key)` when the time of a key has come, in the order of the times; one timer serves all keys.

    Nothing rings before `start` and after `stop`.
    """

    def __init__(self, clock: Clock, ring: Callable[[Key], object]) -> None:
        self.clock = clock
        self.ring = ring
        self.due: dict[Key, float] = {}
        self.heap: list[tuple[float, int, Key]] = []
        self.order = count()
        self.timer: Timer | None = None
        self.timer_at = 0.0
        self.is_on = False

    def set(self, key: Key, when: float) -> None:
        """Ring for a key at that time of the clock, and at no other."""
        if self.due.get(key) == when:
            return
        self.due[key] = when
        heappush(self.heap, (when, next(self.order), key))
        if len(self.heap) > 2 * len(self.due) + 64:  # most entries are of times that were moved
            self.heap = [entry for entry in self.heap if self.due.get(entry[2]) == entry[0]]
            heapify(self.heap)
        self.arm()

    def discard(self, key: Key) -> None:
        """Do not ring for a key."""
        self.due.pop(key, None)

    def start(self) -> None:
        """Ring from now on, at once for what is due already."""
        self.is_on = True
        self.arm()

    def stop(self) -> None:
        """Ring no more."""
        self.is_on = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def arm(self) -> None:
        """Have the timer set to the earliest time."""
        if not self.is_on or not self.heap:
            return
        when = self.heap[0][0]
        if self.timer is not None:
            if self.timer_at <= when:
                return
            self.timer.cancel()
        self.timer_at = when
        self.timer = self.clock.call_at(when, self.wake)

    def wake(self) -> None:
        """Ring for every key whose time has come."""
        self.timer = None
        self.ring_due()
        self.arm()

    def ring_due(self) -> None:
        """Ring for every key whose time has come."""
        now = self.clock.time()
        while self.heap and self.heap[0][0] <= now:
            when, _, key = heappop(self.heap)
            if self.due.get(key) == when:
                del self.due[key]
                self.ring(key)
