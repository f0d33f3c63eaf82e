"""Turns a message into the same one, later: the step `delay`."""

from dataclasses import dataclass, field

from flowrunner.code import Block, Host, Segment
from flowrunner.errors import StepError
from flowrunner.expressions import Expression
from flowrunner.memory import Deadlines, Held, Key
from flowrunner.options import DynamicDuration, Integer, option
from flowrunner.options.numbers import check_duration
from flowrunner.remembering import KeepingStep, Worker

_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(KeepingStep):
    """Hold every message for a while; they keep their order as long as the time is the same.

    No more than `max_pending` are held: what comes above is dropped as an error.
    """

    KEY = "delay"
    EXAMPLES = (
        """
        subscribe: bell
        steps:
          - delay: 3s
          - publish: light
        tests:
          - given: [{topic: bell, payload: ring}, {after: 3s}]
            expect: {topic: light, payload: ring}
          - given: [{topic: bell, payload: ring}, {after: 2s}]
            expect: []
        """,
    )

    seconds: float | Expression = option(DynamicDuration(), "how long a message is held", name="for", main=True)
    max_pending: int = option(Integer(1), "the most messages that are held", default=_MOST)

    def is_cut(self) -> bool:
        return True

    def state(self, host: Host) -> "_Line":
        return _Line()

    def worker(self, host: Host, state: "_Line") -> "_Later":
        return _Later(host, state, self.max_pending)

    def emit(self, to: Block) -> None:
        to.run("_key = SECONDS", SECONDS=to.dynamic(self.seconds, check_duration))
        to.run("WORKER.check_room()", WORKER=to.name(self.worker_name(to)))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is not None:
            self.emit_take(to, then, to.name("_key"))


@dataclass(slots=True)
class _Line:
    """The messages that wait, by number, and when each is due."""

    waiting: dict[int, tuple[Held, float]] = field(default_factory=dict)
    number: int = 0
    owner: Worker | None = None


class _Later(Worker):
    """Lets messages go when their time has come."""

    def __init__(self, host: Host, line: _Line, most: int) -> None:
        super().__init__(host, line)
        self.line = line
        self.most = most
        self.deadlines = Deadlines(self.clock, self.release)

    def start(self) -> None:
        for number, (_, due) in self.line.waiting.items():
            self.deadlines.set(number, due)
        self.deadlines.start()

    def stop(self) -> None:
        self.deadlines.stop()

    def check_room(self) -> None:
        """Raise StepError if no more messages can be held."""
        if len(self.line.waiting) >= self.most:
            help = "raise `max_pending`, or put `throttle` before"
            raise StepError(f"{self.most} messages wait already", code="queue-full", help=help)

    def take(self, key: float, held: Held) -> None:
        self.line.number += 1
        due = self.clock.time() + key
        self.line.waiting[self.line.number] = (held, due)
        self.deadlines.set(self.line.number, due)

    def release(self, key: Key) -> None:
        """Let a message go."""
        held, _ = self.line.waiting.pop(key)
        self.resume(held)
