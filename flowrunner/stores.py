"""Turns named values by key into what flows can get, set and count up; bounded, and perhaps kept on a disk."""

from collections.abc import Iterable
from typing import Any, Protocol

from flowrunner.clock import Clock
from flowrunner.jsons import dumps
from flowrunner.memory import MOST_KEYS, TOLERANCE, Memory, as_key, has_passed
from flowrunner.records import dataclass

#: What `get` gives where there is no value.
MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Row:
    """A value as a journal keeps it: its key, itself in JSON, and seconds since 1970 when it was set and is over."""

    key: bytes
    value: Any
    since: float
    until: float | None


class Journal(Protocol):
    """Keeps the values of one store where they survive the program."""

    def rows(self) -> Iterable[Row]:
        """What was kept, parsed, in the order in which it was set."""

    def put(self, key: bytes, value: bytes, since: float, until: float | None) -> None:
        """Keep a value in JSON, instead of what was there."""

    def forget(self, key: bytes) -> None:
        """Forget a value."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value, and when it was set and is over by the clock."""

    value: Any
    since: float
    until: float | None


def key_of(value: Any) -> bytes:
    """A value as a key; 1 and 1.0 are one. Raises StepError for what JSON cannot hold."""
    match as_key(value):
        case str() as text:
            return b"t" + text.encode("utf-8", "surrogatepass")
        case bytes() as content:
            return b"b" + content
        case float() as number if not number.is_integer():
            return b"f" + repr(number).encode()
        case int() | float() as number:
            return b"i" + f"{int(number):x}".encode()
        case other:
            return b"j" + repr(other).encode()


class Store:
    """The values of one name, by key; the oldest go where there are more than whoever uses it now allows."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.memory: Memory[_Entry] = Memory(clock)
        self.memory.on_forget = lambda key, _: self._forgotten(key)
        self.journal: Journal | None = None
        self.claims: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self.memory)

    def claim(self, user: object, most: int | None) -> None:
        """Say that somebody uses the store from now on, and how many keys he allows (None: as many as usual)."""
        self.claims[user] = max(most or 0, self.claims.get(user, 0))
        self.memory.max_keys = max(self.claims.values()) or MOST_KEYS

    def release(self, user: object) -> None:
        """Say that he does so no more."""
        self.claims.pop(user, None)

    def get(self, key: bytes, ttl: float | None = None) -> Any:
        """The value of a key; MISSING if there is none, or it is over, or was set `ttl` seconds ago or before."""
        entry = self.memory.get(key)
        if entry is None:
            return MISSING
        now = self.clock.time()
        if entry.until is not None and now >= entry.until - TOLERANCE:
            self.memory.forget(key)
            return MISSING
        return MISSING if ttl is not None and has_passed(ttl, entry.since, now) else entry.value

    def set(self, key: bytes, value: Any, ttl: float | None = None) -> None:
        """Set the value of a key, which is over after `ttl` seconds. Raises StepError for what cannot be kept."""
        content = dumps(value) if self.journal is not None else b""
        now = self.clock.time()
        entry = _Entry(value, now, None if ttl is None else now + ttl)
        self.memory.set(key, entry)
        if self.journal is not None:
            self._write(self.journal, key, content, entry)

    def keep_in(self, journal: Journal) -> None:
        """Read what a journal holds, and write to it from now on; what is here already is newer.

        The bound is not looked at before the next value is set: it is not known before all have made their claims.
        """
        here = list(self.memory.values.items())
        self.memory.values.clear()
        offset = self.clock.time() - self.clock.now()
        for row in journal.rows():
            # a watch on the wall that was set back must not make a value younger than it is
            since = min(row.since + offset, self.clock.time())
            until = None if row.until is None else since + (row.until - row.since)
            self.memory.values[row.key] = (_Entry(row.value, since, until), since)
        for key, (entry, since) in here:
            self.memory.values[key] = (entry, since)
            self.memory.values.move_to_end(key)
            self._write(journal, key, dumps(entry.value), entry)
        self.journal = journal

    def _write(self, journal: Journal, key: bytes, content: bytes, entry: _Entry) -> None:
        offset = self.clock.now() - self.clock.time()
        until = None if entry.until is None else entry.until + offset
        journal.put(key, content, entry.since + offset, until)

    def _forgotten(self, key: bytes) -> None:
        if self.journal is not None:
            self.journal.forget(key)


class Stores:
    """Stores by name, in memory only: what tests and rehearsals give to a flow."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.known: dict[tuple[str, str], Store] = {}

    def open(self, flow: str, name: str) -> Store:
        """The store of a name of a flow; the flow is empty for those that all flows share."""
        return self.known.setdefault((flow, name), Store(self.clock))
