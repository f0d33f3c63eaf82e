"""Turns a stream of values into their changes: the step `changed`."""

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowrunner.code import Block, Host
from flowrunner.expressions import Expression
from flowrunner.memory import Memory, has_passed
from flowrunner.options import Dynamic, DynamicDuration, ExpressionKind, Number, option
from flowrunner.options.numbers import check_duration, check_number
from flowrunner.remembering import RememberingStep, Worker

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(RememberingStep):
    """Pass a message only if a value differs from the last one that passed (Node-RED calls it rbe).

    With `deadband` a number must differ by more than that; with `max_age` a message passes also when the last one is
    that old. The first message of every key passes.
    """

    KEY = "changed"
    CAN_BE_SHARED = True
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - changed: {value: payload.t, by: room, deadband: 0.5, max_age: 10m}
          - publish: changes/${room}
        tests:
          - name: half a degree is not enough
            given:
              - {topic: sensors/attic, payload: {t: 20}}
              - {topic: sensors/attic, payload: {t: 20.5}}
              - {topic: sensors/cellar, payload: {t: 20}}
              - {topic: sensors/attic, payload: {t: 20.6}}
            expect:
              - {topic: changes/attic, payload: {t: 20}}
              - {topic: changes/cellar, payload: {t: 20}}
              - {topic: changes/attic, payload: {t: 20.6}}
          - name: after ten minutes the same value passes again
            given: [{topic: sensors/attic, payload: {t: 20}}, {after: 10m}, {topic: sensors/attic, payload: {t: 20}}]
            expect: [{topic: changes/attic}, {topic: changes/attic}]
        """,
    )

    value: Expression = option(ExpressionKind(), "what must have changed", main=True)
    deadband: float | Expression = option(
        Dynamic(Number(0), check_number), "a number must differ by more than this", default=0
    )
    max_age: float | Expression | None = option(
        DynamicDuration(), "pass also when the last one that passed is this old", default=None
    )

    def worker(self, host: Host, state: Memory[tuple[Any, float]]) -> "_Changes":
        return _Changes(host, state)

    def emit(self, to: Block) -> None:
        holes = {"WORKER": to.name(self.worker_name(to)), "KEY": self.key(to), "VALUE": to.value(self.value)}
        holes |= {"BAND": to.dynamic(self.deadband, check_number), "AGE": to.dynamic(self.max_age, check_duration)}
        to.run("if not WORKER.passes(KEY, VALUE, BAND, AGE):\n    return", **holes)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import changed_job

        holes = {"JOB": to.helper(changed_job), "KEY": self.plain_key(to), "VALUE": to.value(self.value)}
        holes |= {"BAND": to.dynamic(self.deadband, check_number), "AGE": to.dynamic(self.max_age, check_duration)}
        return to.expression("JOB(KEY, VALUE, BAND, AGE)", **holes)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.gate_scripts import CHANGED
        from flowrunner.remote.gate_worker import GateWorker
        from flowrunner.remote.place import Limits

        return GateWorker(host, CHANGED, place.path, Limits(self.max_keys, self.ttl))


class _Changes(Worker):
    """Remembers the last value that passed, and when."""

    def __init__(self, host: Host, memory: Memory[tuple[Any, float]]) -> None:
        super().__init__(host, memory)
        self.memory = memory

    def passes(self, key: Any, value: Any, deadband: float, max_age: float | None) -> bool:
        """Whether a message passes; if so, its value is remembered."""
        now = self.clock.time()
        known = self.memory.get(key)
        if known is not None and not differs(known[0], value, deadband):
            is_old = max_age is not None and has_passed(max_age, known[1], now)
            if not is_old:
                return False
        self.memory.set(key, (value, now))
        return True


def differs(old: Any, new: Any, deadband: float) -> bool:
    """Whether two values differ: numbers by more than the deadband, all others at all."""
    if not (_is_number(old) and _is_number(new)):
        return type(old) is not type(new) or bool(old != new)
    if _is_nan(old) or _is_nan(new):
        return _is_nan(old) is not _is_nan(new)
    return bool(abs(new - old) > deadband * (1 + _ROUNDING))


_ROUNDING = 1e-9  # 20.6 - 20.1 is half a degree, whatever binary fractions make of it


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nan(value: float) -> bool:
    return value != value  # noqa: PLR0124 - NaN alone is not itself
