"""Turns a fast stream into at most so many messages a time: the step `throttle`."""

import ast
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowrunner.code import Block, Host
from flowrunner.memory import Held, Key, Memory, has_passed
from flowrunner.options import Choice, Frequency, option
from flowrunner.remembering import GatingStep, KeyedWorker

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(GatingStep):
    """Let at most so many messages through: `5s` is one in five seconds, `10/s` are ten in any second.

    The first ones pass and the others are dropped; with `keep: last` the last one that came too early is held, and
    passes as soon as it may.
    """

    KEY = "throttle"
    CAN_BE_SHARED = True
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

    def shape(self) -> Hashable:
        return (GatingStep.shape(self), self.keep)

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        return (("rate", self.rate[1]),)

    def worker(self, host: Host, state: Memory["_Passed"]) -> "_Gate":
        return _Gate(host, state, self.rate)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import key_job, latest_job

        if not self.is_cut():
            return to.expression("JOB(KEY)", JOB=to.helper(key_job), KEY=self.plain_key(to))
        return to.expression("JOB(KEY, _held)", JOB=to.helper(latest_job), KEY=self.plain_key(to))

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.holding_worker import LatestWorker
        from flowrunner.remote.place import Limits, microseconds
        from flowrunner.remote.throttle_scripts import LATEST, LATEST_RING, THROTTLE
        from flowrunner.remote.worker import ThrottleWorker

        statics = (str(self.rate[0]), microseconds(self.rate[1]))
        if self.is_cut():
            return LatestWorker(host, (LATEST, LATEST_RING), place.path, Limits(self.max_keys, self.ttl), *statics)
        return ThrottleWorker(host, THROTTLE, place.path, Limits(self.max_keys, self.ttl, self.rate[1]), *statics)


@dataclass(slots=True)
class _Passed:
    """When the last messages of a key passed, and the one that waits."""

    times: deque[float] = field(default_factory=deque)
    held: Held | None = None


class _Gate(KeyedWorker):
    """Counts what passes in any stretch of the time."""

    def __init__(self, host: Host, memory: Memory[_Passed], rate: tuple[int, float]) -> None:
        super().__init__(host, memory)
        self.most, self.seconds = rate

    def due(self, value: _Passed) -> float | None:
        return None if value.held is None else self.next_time(value)

    def next_time(self, passed: _Passed) -> float:
        """When the next message may pass; now, or in the past, if it may pass at once."""
        now = self.clock.time()
        while passed.times and (has_passed(self.seconds, passed.times[0], now) or len(passed.times) > self.most):
            passed.times.popleft()  # there are more than the most where the rate was higher before an edit
        return passed.times[0] + self.seconds if len(passed.times) == self.most else now

    def passes(self, key: Key) -> bool:
        """Whether a message may pass now; if so, it is counted."""
        passed = self.memory.get(key) or _Passed()
        if self.next_time(passed) > self.clock.time():
            return False
        self.count(key, passed)
        return True

    def count(self, key: Key, passed: _Passed) -> None:
        """Count a message that passes."""
        passed.times.append(self.clock.time())
        self.memory.set(key, passed)

    def take(self, key: Key, held: Held) -> None:
        passed = self.memory.get(key) or _Passed()
        when = self.next_time(passed)
        if when > self.clock.time() or passed.held is not None:
            passed.held = held
            self.memory.set(key, passed)
            self.deadlines.set(key, when)
            return
        self.count(key, passed)
        self.resume(held)

    def release(self, key: Key) -> None:
        """Let the message go that waited for its time."""
        passed = self.memory.get(key)
        if passed is None or passed.held is None:
            return
        held, passed.held = passed.held, None
        self.count(key, passed)
        self.resume(held)
