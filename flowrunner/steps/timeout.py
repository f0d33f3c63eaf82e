"""Turns silence into a message: the step `timeout`."""

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowrunner.code import ORIGIN, Block, Host, Segment
from flowrunner.expressions import Expression, Scope
from flowrunner.memory import Held, Key, Memory
from flowrunner.options import Bool, DynamicDuration, ValueKind, option
from flowrunner.options.numbers import check_duration
from flowrunner.remembering import HoldingStep, KeyedWorker
from flowrunner.step import Check, wider
from flowrunner.values import Value, value_kind

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(HoldingStep):
    """Hand every message on, and emit another one if none came for a while (a watchdog).

    Its topic and names are those of the last message. Without `by` the time runs from the start, also when no message
    ever came; then the topic is `timeout/FLOW`, and named levels are null. With `repeat: true` it goes on emitting.
    """

    KEY = "timeout"
    CAN_BE_SHARED = True
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

    GIVEN = ("seconds",)

    seconds: float | Expression = option(DynamicDuration(), "how long there must be silence", name="after")
    payload: Value = option(ValueKind(), "the payload of the message that is emitted then")
    repeat: bool = option(Bool(), "emit again and again while it stays silent", default=False)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if self.by is None and isinstance(self.seconds, Expression):
            message = "without `by` the time runs from the start, so `after` must be a fixed duration"
            check.report.say("wrong-value", message, self.at.key_span, helps=("add `by:`, or write `after: 2m`",))
        return HoldingStep.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload=wider([scope.names["payload"], value_kind(self.payload, scope)]))

    def worker(self, host: Host, state: Memory["_Last"]) -> "_Watchdog":
        return _Watchdog(host, state, self)

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is None:
            return
        key, *given = (to.name(name) for name in self.locals())
        self.emit_take(to, self.remote_emitted(to, then), key, *given)
        to.call(then)

    def remote_emitted(self, to: Block, then: Segment) -> Segment:
        def write(block: Block) -> None:
            block.run("payload = VALUE", VALUE=block.value(self.payload))
            block.call(then)

        return to.writer.segment(to, to.scope, write)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import timeout_job

        holes = {"JOB": to.helper(timeout_job), "KEY": self.plain_key(to)}
        return to.expression("JOB(KEY, _held, AFTER)", AFTER=to.dynamic(self.seconds, check_duration), **holes)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.holding_worker import TimeoutWorker
        from flowrunner.remote.place import Limits, microseconds
        from flowrunner.remote.timeout_scripts import TIMEOUT, TIMEOUT_RING

        nobody = _Nobody(f"timeout/{place.flow}")
        statics = ("1" if self.repeat else "0", microseconds(self.own_seconds))
        scripts = (TIMEOUT, TIMEOUT_RING)
        return TimeoutWorker(host, scripts, place.path, Limits(self.max_keys, self.ttl), *statics, nobody=nobody)

    @property
    def own_seconds(self) -> float | None:
        """How long there must be silence where it is watched from the start."""
        return self.seconds if self.by is None and isinstance(self.seconds, float) else None


@dataclass(slots=True)
class _Last:
    """The last message of a key, how long the next one may take, and until when it must come."""

    held: Held
    seconds: float
    due: float | None


class _Watchdog(KeyedWorker):
    """Waits for silence, key by key."""

    def __init__(self, host: Host, memory: Memory[_Last], step: Timeout) -> None:
        super().__init__(host, memory)
        self.repeat = step.repeat
        self.own_seconds = step.own_seconds

    def start(self) -> None:
        if self.own_seconds is not None and self.memory.get("") is None:
            self.take("", _Nobody(f"timeout/{self.flow}"), self.own_seconds)
        super().start()

    def due(self, value: _Last) -> float | None:
        return value.due

    def take(self, key: Key, held: Held, seconds: float) -> None:
        # what is due and was not served yet stays silent: the message may have been here in time, and waited its turn
        due = self.clock.time() + seconds
        self.memory.set(key, _Last(held, seconds, due))
        self.deadlines.set(key, due)

    def release(self, key: Key) -> None:
        """Tell that no message came."""
        last = self.memory.get(key)
        if last is None:
            return
        last.due = self.clock.time() + last.seconds if self.repeat else None
        if last.due is not None:
            self.deadlines.set(key, last.due)
        self.resume(last.held)


class _Nobody(dict[str, Any]):
    """What a message would be, had one come: a topic of its own, and nothing in it."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic=topic, payload=None, qos=0, retain=False, properties={})
        self["_origin"] = tuple(self[name] for name in ORIGIN)

    def __missing__(self, name: str) -> None:
        return None
