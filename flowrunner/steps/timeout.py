"""Turns silence into a message: the step `timeout`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import ORIGIN, Block, Host, Segment
from flowrunner.expressions import Scope
from flowrunner.memory import Deadlines, Held, Key, Memory
from flowrunner.options import Bool, Duration, ValueKind, option
from flowrunner.remembering import HoldingStep, Worker
from flowrunner.step import wider
from flowrunner.values import Value, value_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(HoldingStep):
    """Hand every message on, and emit another one if none came for a while (a watchdog).

    Its topic and names are those of the last message. Without `by` the time runs from the start, also when no message
    ever came; then the topic is `timeout/FLOW`, and named levels are null. With `repeat: true` it goes on emitting.
    """

    KEY = "timeout"
    EXAMPLES = (
        """
        subscribe: sensors/+id
        steps:
          - json
          - timeout: {after: 2m, payload: {state: silent}, by: id}
          - publish: health/${id}
        tests:
          - given: [{topic: sensors/a, payload: {state: ok}}, {after: 2m}]
            expect: [{topic: health/a, payload: {state: ok}}, {topic: health/a, payload: {state: silent}}]
          - name: a message in time
            given: [{topic: sensors/a, payload: 1}, {after: 119s}, {topic: sensors/a, payload: 2}, {after: 119s}]
            expect: [{payload: 1}, {payload: 2}]
        """,
    )

    seconds: float = option(Duration(), "how long there must be silence", name="after")
    payload: Value = option(ValueKind(), "the payload of the message that is emitted then")
    repeat: bool = option(Bool(), "emit again and again while it stays silent", default=False)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload=wider([scope.names["payload"], value_kind(self.payload, scope)]))

    def worker(self, host: Host, state: Memory["_Last"]) -> "_Watchdog":
        return _Watchdog(host, state, self)

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is None:
            return

        def write(block: Block) -> None:
            block.run("payload = VALUE", VALUE=block.value(self.payload))
            block.call(then)

        self.emit_take(to, to.writer.segment(to, to.scope, write), to.name("_key"))
        to.call(then)


@dataclass(slots=True)
class _Last:
    """The last message of a key, and until when the next one must come."""

    held: Held
    due: float


class _Watchdog(Worker):
    """Waits for silence, key by key."""

    def __init__(self, host: Host, memory: Memory[_Last], step: Timeout) -> None:
        super().__init__(host)
        self.memory = memory
        self.step = step
        self.deadlines = Deadlines(self.clock, self.release)

    def start(self) -> None:
        if self.step.by is None and not len(self.memory):
            self.memory.set("", _Last(_Nobody(), self.clock.time() + self.step.seconds))
        for key in self.memory:
            if last := self.memory.peek(key):
                self.deadlines.set(key, last.due)
        self.deadlines.start()

    def stop(self) -> None:
        self.deadlines.stop()

    def take(self, key: Key, held: Held) -> None:
        due = self.clock.time() + self.step.seconds
        self.memory.set(key, _Last(held, due))
        self.deadlines.set(key, due)

    def release(self, key: Key) -> None:
        """Tell that no message came."""
        last = self.memory.peek(key)
        if last is None:
            return
        last.due = self.clock.time() + self.step.seconds if self.step.repeat else float("inf")
        if self.step.repeat:
            self.deadlines.set(key, last.due)
        self.resume(last.held)


class _Nobody(dict[str, Any]):
    """What a message would be, had one come: a topic of its own, and nothing in it."""

    def __init__(self) -> None:
        super().__init__(topic="timeout", payload=None, qos=0, retain=False, properties={})
        self["_origin"] = tuple(self[name] for name in ORIGIN)

    def __missing__(self, name: str) -> None:
        return None
