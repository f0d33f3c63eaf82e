"""Turns keys into what a step remembers of them, within bounds: the oldest goes when there are too many."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from hashlib import blake2b
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

#: Longer keys are remembered by their hash: ten thousand of them must not fill the memory of the machine.
_LONGEST_KEY = 256

#: Seconds by which a time may be missed and is still met: sums of decimal fractions are not exact.
TOLERANCE = 1e-6


def as_key(value: Any) -> Key:
    """A value as a key: texts and numbers as they are (1 and 1.0 are one key), everything else by its JSON.

    Raises StepError for what JSON cannot hold.
    """
    if isinstance(value, str | bytes):
        return value if len(value) <= _LONGEST_KEY else _digest(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if value == value else ("NaN",)  # noqa: PLR0124 - NaN alone is not itself
    text = dumps(value, is_sorted=True)
    return (text,) if len(text) <= _LONGEST_KEY else (_digest(text),)


def _digest(value: str | bytes) -> tuple[str, bytes]:
    content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return type(value).__name__, blake2b(content, digest_size=16).digest()


def has_passed(seconds: float, since: float, now: float) -> bool:
    """Whether so much time has passed; exactly so much is enough."""
    return now - since >= seconds - TOLERANCE


class Memory(Generic[Value]):
    """Values by key. A key is forgotten `ttl` seconds after it was last set, and the oldest where there are too many.

    `evicted` counts those that had to go for want of room; `on_full` hears of the first of them, and `on_forget` of
    every key that goes without being asked to. `owner` is what works on it now (see `flowrunner.remembering.Worker`).
    """

    def __init__(self, clock: Clock, *, max_keys: int = MOST_KEYS, ttl: float | None = None) -> None:
        self.clock = clock
        self.max_keys = max_keys
        self.ttl = ttl
        self.evicted = 0
        self.values: OrderedDict[Key, tuple[Value, float]] = OrderedDict()
        self.on_forget: Callable[[Key, Value], object] = _nothing
        self.on_full: Callable[[], object] = _nothing
        self.owner: Any = None

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self.values))

    def get(self, key: Key) -> Value | None:
        """The value of a key, None if there is none or it is too old."""
        found = self.values.get(key)
        if found is None:
            return None
        if self.ttl is not None and has_passed(self.ttl, found[1], self.clock.time()):
            self.forget(key)
            return None
        return found[0]

    def set(self, key: Key, value: Value) -> None:
        """Remember a value; its key is the youngest now."""
        self.put(key, value, self.clock.time())

    def put(self, key: Key, value: Value, since: float) -> None:
        """Remember a value that was set at some time; its key counts as the youngest."""
        self.values[key] = (value, since)
        self.values.move_to_end(key)
        while len(self.values) > self.max_keys:
            self.evict()
        if self.ttl is not None:
            self.forget_old(self.ttl)

    def evict(self) -> None:
        """Let the oldest key go for want of room."""
        self.evicted += 1
        if self.evicted == 1:
            self.on_full()
        self.forget(next(iter(self.values)))

    def pop(self, key: Key) -> Value | None:
        """Take a value out; None if there is none or it is too old."""
        value = self.get(key)
        self.values.pop(key, None)
        return value

    def forget_old(self, seconds: float) -> None:
        """Forget what was last set so long ago; the order of the keys is that of their age."""
        now = self.clock.time()
        while self.values and has_passed(seconds, next(iter(self.values.values()))[1], now):
            self.forget(next(iter(self.values)))

    def forget(self, key: Key) -> None:
        """Let a key go, and say so."""
        value, _ = self.values.pop(key)
        self.on_forget(key, value)


def _nothing(*_: Any) -> None:
    """Hear of something that concerns nobody."""


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

    def discard(self, key: Key, _: object = None) -> None:
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
        now = self.clock.time() + TOLERANCE
        while self.is_on and self.heap and self.heap[0][0] <= now:
            when, _, key = heappop(self.heap)
            if self.due.get(key) == when:
                del self.due[key]
                self.ring(key)
