"""Turns a fast stream into at most so many messages a time: the step `throttle`."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flowrunner.code import Block, Host, Segment
from flowrunner.memory import Deadlines, Held, Key, Memory
from flowrunner.options import Choice, Frequency, option
from flowrunner.remembering import HoldingStep, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(HoldingStep):
    """Let at most so many messages through: `5s` is one in five seconds, `10/s` are ten in any second.

    The first ones pass and the others are dropped; with `keep: last` the last one that came too early is held, and
    passes as soon as it may.
    """

    KEY = "throttle"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - throttle: {rate: 5s, by: room}
          - publish: slow/${room}
        tests:
          - given:
              - {topic: sensors/a, payload: 1}
              - {topic: sensors/a, payload: 2}
              - {topic: sensors/b, payload: 3}
              - {after: 5s}
              - {topic: sensors/a, payload: 4}
            expect: [{topic: slow/a, payload: 1}, {topic: slow/b, payload: 3}, {topic: slow/a, payload: 4}]
        """,
        """
        subscribe: slider
        steps:
          - throttle: {rate: 1s, keep: last}
          - publish: lamp
        tests:
          - given:
              - {topic: slider, payload: 1}
              - {topic: slider, payload: 2}
              - {topic: slider, payload: 3}
              - {after: 1s}
            expect: [{topic: lamp, payload: 1}, {topic: lamp, payload: 3}]
        """,
    )

    rate: tuple[int, float] = option(Frequency(), "`5s` for one in that time, `10/s` for so many", main=True)
    keep: str = option(Choice(("first", "last")), "which of too many messages passes", default="first")

    def is_cut(self) -> bool:
        return self.keep == "last"

    def worker(self, host: Host, state: Memory["_Passed"]) -> "_Gate":
        return _Gate(host, state, self.rate, is_holding=self.is_cut())

    def emit(self, to: Block) -> None:
        if self.is_cut():
            HoldingStep.emit(self, to)
            return
        to.run("if not WORKER.passes(KEY):\n    return", WORKER=to.name(self.worker_name(to)), KEY=self.key(to))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if self.is_cut():
            HoldingStep.emit_then(self, to, then)


@dataclass(slots=True)
class _Passed:
    """When the last messages of a key passed, and the one that waits."""

    times: deque[float] = field(default_factory=deque)
    held: Held | None = None


class _Gate(Worker):
    """Counts what passes in any stretch of the time."""

    def __init__(self, host: Host, memory: Memory[_Passed], rate: tuple[int, float], *, is_holding: bool) -> None:
        super().__init__(host)
        self.memory = memory
        self.most, self.seconds = rate
        self.deadlines = Deadlines(self.clock, self.release)
        self.is_holding = is_holding

    def start(self) -> None:
        for key in self.memory:
            passed = self.memory.peek(key)
            if passed is not None and passed.held is not None and self.is_holding:
                self.deadlines.set(key, self.next_time(passed))
        self.deadlines.start()

    def stop(self) -> None:
        self.deadlines.stop()

    def next_time(self, passed: _Passed) -> float:
        """When the next message may pass."""
        while len(passed.times) > self.most:  # the rate was higher before an edit
            passed.times.popleft()
        return passed.times[0] + self.seconds if len(passed.times) == self.most else self.clock.time()

    def passes(self, key: Key) -> bool:
        """Whether a message may pass now; if so, it is counted."""
        passed = self.memory.get(key) or _Passed()
        now = self.clock.time()
        if self.next_time(passed) > now:
            return False
        self.count(key, passed, now)
        return True

    def count(self, key: Key, passed: _Passed, now: float) -> None:
        """Count a message that passes."""
        if len(passed.times) == self.most:
            passed.times.popleft()
        passed.times.append(now)
        self.memory.set(key, passed)

    def take(self, key: Key, held: Held) -> None:
        passed = self.memory.get(key) or _Passed()
        when = self.next_time(passed)
        if when > self.clock.time() or passed.held is not None:
            passed.held = held
            self.memory.set(key, passed)
            self.deadlines.set(key, when)
            return
        self.count(key, passed, self.clock.time())
        self.resume(held)

    def release(self, key: Key) -> None:
        """Let the message go that waited for its time."""
        passed: Any = self.memory.get(key)
        if passed is None or passed.held is None:
            return
        held, passed.held = passed.held, None
        self.count(key, passed, self.clock.time())
        self.resume(held)
