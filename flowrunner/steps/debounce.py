"""Turns a burst into its last message: the step `debounce`."""

from dataclasses import dataclass

from flowrunner.code import Host
from flowrunner.memory import Deadlines, Held, Key, Memory
from flowrunner.options import Duration, option
from flowrunner.remembering import HoldingStep, Worker


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

    seconds: float = option(Duration(), "how long there must be silence", name="for", main=True)
    max_wait: float | None = option(Duration(), "the longest time after the first message of a burst", default=None)

    def worker(self, host: Host, state: Memory["_Pending"]) -> "_Silence":
        return _Silence(host, state, self.seconds, self.max_wait)


@dataclass(frozen=True, slots=True)
class _Pending:
    """The last message of a burst, when the first one came, and when it goes out."""

    held: Held
    since: float
    due: float


class _Silence(Worker):
    """Waits for silence, key by key."""

    def __init__(self, host: Host, memory: Memory[_Pending], seconds: float, max_wait: float | None) -> None:
        super().__init__(host)
        self.memory = memory
        self.seconds = seconds
        self.max_wait = max_wait
        self.deadlines = Deadlines(self.clock, self.release)

    def start(self) -> None:
        for key in self.memory:
            if pending := self.memory.peek(key):
                self.deadlines.set(key, pending.due)
        self.deadlines.start()

    def stop(self) -> None:
        self.deadlines.stop()

    def take(self, key: Key, held: Held) -> None:
        now = self.clock.time()
        self.deadlines.ring_due()  # silence may just be over, and the timer not yet served
        known = self.memory.get(key)
        since = now if known is None else known.since
        due = now + self.seconds
        if self.max_wait is not None:
            due = min(due, since + self.max_wait)
        self.memory.set(key, _Pending(held, since, due))
        self.deadlines.set(key, due)

    def release(self, key: Key) -> None:
        """Let the last message of a burst go."""
        if pending := self.memory.pop(key):
            self.resume(pending.held)
