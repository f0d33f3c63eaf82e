"""Turns a burst into its last message: the step `debounce`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Host
from flowrunner.expressions import Expression
from flowrunner.memory import Held, Key, Memory
from flowrunner.options import DynamicDuration, option
from flowrunner.remembering import HoldingStep, KeyedWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce(HoldingStep):
    """Emit the last message after silence.

    Every message starts the time anew; with `max_wait` one goes out at the latest so long after the first of a burst.
    """

    KEY = "debounce"
    EXAMPLES = (
        """
        subscribe: doors/+door
        steps:
          - debounce: {for: 2s, by: door}
          - publish: doors/${door}/settled
        tests:
          - name: only the last state counts
            given:
              - {topic: doors/front, payload: open}
              - {after: 1s}
              - {topic: doors/front, payload: closed}
              - {after: 2s}
            expect: {topic: doors/front/settled, payload: closed}
          - name: before the time is over nothing comes
            given: [{topic: doors/front, payload: open}, {after: 1999ms}]
            expect: []
        """,
    )

    GIVEN = ("seconds", "max_wait")

    seconds: float | Expression = option(DynamicDuration(), "how long there must be silence", name="for", main=True)
    max_wait: float | Expression | None = option(
        DynamicDuration(), "the longest time after the first message of a burst", default=None
    )

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        return (("for", self.seconds),)  # which every message starts anew, as it does the `ttl`

    def worker(self, host: Host, state: Memory["_Pending"]) -> "_Silence":
        return _Silence(host, state)


@dataclass(frozen=True, slots=True)
class _Pending:
    """The last message of a burst, when the first one came, and when it goes out."""

    held: Held
    since: float
    due: float


class _Silence(KeyedWorker):
    """Waits for silence, key by key."""

    def due(self, value: _Pending) -> float:
        return value.due

    def take(self, key: Key, held: Held, seconds: float, max_wait: float | None) -> None:
        self.deadlines.ring_due()  # silence may just be over, and the timer not yet served
        now = self.clock.time()
        known = self.memory.get(key)
        since = now if known is None else known.since
        due = now + seconds if max_wait is None else min(now + seconds, since + max_wait)
        self.memory.set(key, _Pending(held, since, due))
        self.deadlines.set(key, due)

    def release(self, key: Key) -> None:
        """Let the last message of a burst go."""
        if pending := self.memory.pop(key):
            self.resume(pending.held)
