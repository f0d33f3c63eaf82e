"""Turns a message into a look at, or a change of, a value that outlives it: the step `state`."""

import ast
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from flowrunner.code import Block, Host
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Kind, Scope
from flowrunner.fields import name_kind
from flowrunner.memory import MOST_KEYS
from flowrunner.options import (
    Bool,
    Choice,
    Dynamic,
    DynamicDuration,
    ExpressionKind,
    Integer,
    NewName,
    Number,
    ValueKind,
    option,
)
from flowrunner.options.numbers import check_duration, check_number
from flowrunner.snippets import Hole
from flowrunner.step import Check, Step
from flowrunner.stores import MISSING, Store, key_of
from flowrunner.values import Constant, Value, value_kind

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker

_WORDS = ("get", "set", "increment")


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Step):
    """Get, set or count up a named value that outlives the message.

    `get: last` reads the value `last`, `set: last` sets it (to the payload, or to `value`), `increment: count` adds 1
    (or `amount`) to a number. Behind the step the value is a name, like those of `let`: `last`, or what `as` says. With
    `key` there is one value for each key. All steps of a flow that name the same value mean the same one, and an edit
    of the flow keeps it; with `scope: shared` all flows share it.

    With `persist: true` it survives a restart and a power cut: values (which must be what JSON can hold) are written to
    `.flowrunner/state.db` beside the flows. A kill of the program loses at most the last tenth of a second, a power cut
    about a second.

    A value is over `ttl` after it was set, where a step sets it with a `ttl`; a step that gets it with a `ttl` does not
    see an older one. What is not there is `default`: null, or 0 where it is counted up.
    """

    KEY = "state"
    CAN_BE_SHARED = True
    EXAMPLES = (
        """
        subscribe: meters/+meter/total
        steps:
          - json
          - state: {get: last, key: meter, default: "${payload}"}
          - publish: {topic: "meters/${meter}/used", payload: "${payload - last}"}
            when: payload > last
          - state: {set: last, key: meter}
        tests:
          - given:
              - {topic: meters/gas/total, payload: 100}
              - {topic: meters/water/total, payload: 7}
              - {topic: meters/gas/total, payload: 103}
              - {topic: meters/gas/total, payload: 108}
            expect: [{topic: meters/gas/used, payload: 3}, {topic: meters/gas/used, payload: 5}]
        """,
        """
        subscribe: doors/+door
        steps:
          - decode: utf-8
          - filter: payload == "open"
          - state: {increment: openings, key: door, persist: true}
          - publish: {topic: "doors/${door}/openings", payload: "${openings}", retain: true}
        tests:
          - given:
              - {topic: doors/front, payload: open}
              - {topic: doors/back, payload: open}
              - {topic: doors/front, payload: open}
            expect:
              - {topic: doors/front/openings, payload: 1}
              - {topic: doors/back/openings, payload: 1}
              - {topic: doors/front/openings, payload: 2}
        """,
    )

    get: str | None = option(NewName(), "the name of the value to read", default=None)
    set: str | None = option(NewName(), "the name of the value to set", default=None)
    increment: str | None = option(NewName(), "the name of the number to count up", default=None)
    key: Expression | None = option(ExpressionKind(), "keep one value for each value of this", default=None)
    value: Value | None = option(ValueKind(), "with `set`: the new value; without it the payload", default=None)
    amount: float | Expression | None = option(
        Dynamic(Number(), check_number), "with `increment`: how much is added; without it 1", default=None
    )
    default: Value | None = option(
        ValueKind(), "with `get` and `increment`: the value where there is none", default=None
    )
    into: str | None = option(
        NewName(), "what later steps call the value; without it as it is called here", name="as", default=None
    )
    scope: str = option(
        Choice(("flow", "shared")), "whose value it is: this flow's, or that of all flows", default="flow"
    )
    ttl: float | Expression | None = option(
        DynamicDuration(), "for how long a value holds after it was set", default=None
    )
    max_keys: int | None = option(
        Integer(1), f"the most keys of this value, by default {MOST_KEYS}; the oldest goes", default=None
    )
    persist: bool = option(Bool(), "keep the value over a restart of flowrunner", default=False)

    @property
    def verb(self) -> str:
        """What is done: `get`, `set` or `increment`."""
        return next(word for word in _WORDS if getattr(self, word) is not None)

    @property
    def named(self) -> str:
        """The name of the value."""
        name: str = getattr(self, self.verb)
        return name

    def check(self, scope: Scope, check: Check) -> Scope | None:
        given = [word for word in _WORDS if getattr(self, word) is not None]
        span = self.at.key_span
        if len(given) != 1:
            message = "`state` needs one of `get`, `set` and `increment`"
            check.report.say("missing-key", message, span, label="one of them, not several" if given else "")
            return scope
        for name, verbs in (("value", ("set",)), ("amount", ("increment",)), ("default", ("get", "increment"))):
            if getattr(self, name) is not None and self.verb not in verbs:
                check.report.say("wrong-value", f"`{name}` goes with `{verbs[0]}`, not with `{self.verb}`", span)
        if isinstance(self.default, Constant) and self.verb == "increment" and not _is_number(self.default.value):
            check.report.say("wrong-value", "the `default` of what is counted up must be a number", span)
        check.new_name(self.into or self.named, span)
        return Step.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(**{self.into or self.named: self.kind(scope)})

    def memory(self) -> str:
        return f"state {self.named}" if self.scope == "flow" else f"shared state {self.named}"

    def kind(self, scope: Scope) -> Kind:
        """What the value is, as far as it is known."""
        match self.verb:
            case "increment":
                return "data"
            case "set":
                return scope.names["payload"] if self.value is None else value_kind(self.value, scope)
        return "data" if self.persist else "any"

    def emit(self, to: Block) -> None:
        holes: dict[str, Hole] = {
            "STORE": to.bound(f"state_{to.writer.place_of(self)}", self.open),
            "NAME": self.into or self.named,
        }
        holes["KEY"] = (
            to.constant(b"")
            if self.key is None
            else to.expression("KEY_OF(VALUE)", KEY_OF=to.helper(key_of), VALUE=to.value(self.key))
        )
        holes["TTL"] = to.dynamic(self.ttl, check_duration)
        match self.verb:
            case "get":
                holes |= {"GET": to.helper(get_value), "DEFAULT": self.otherwise(to, None)}
                to.run("NAME = GET(STORE, KEY, DEFAULT, TTL)", **holes)
            case "set":
                holes |= {
                    "SET": to.helper(set_value),
                    "VALUE": to.name("payload") if self.value is None else to.value(self.value),
                }
                to.run("NAME = SET(STORE, KEY, VALUE, TTL)", **holes)
            case _:
                amount = to.constant(1) if self.amount is None else to.dynamic(self.amount, check_number)
                holes |= {"ADD": to.helper(add_to), "AMOUNT": amount, "DEFAULT": self.otherwise(to, 0)}
                to.run("NAME = ADD(STORE, KEY, AMOUNT, DEFAULT, TTL)", **holes)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import get_job, increment_job, set_job

        key = to.constant("") if self.key is None else to.value(self.key)
        holes: dict[str, Hole] = {"KEY": key, "TTL": to.dynamic(self.ttl, check_duration)}
        match self.verb:
            case "get":
                holes |= {"JOB": to.helper(get_job), "DEFAULT": self.otherwise(to, None)}
                return to.expression("JOB(KEY, TTL, DEFAULT)", **holes)
            case "set":
                value = to.name("payload") if self.value is None else to.value(self.value)
                return to.expression("JOB(KEY, VALUE, TTL)", JOB=to.helper(set_job), VALUE=value, **holes)
        amount = to.constant(1) if self.amount is None else to.dynamic(self.amount, check_number)
        holes |= {"JOB": to.helper(increment_job), "AMOUNT": amount, "DEFAULT": self.otherwise(to, 0)}
        return to.expression("JOB(KEY, AMOUNT, DEFAULT, TTL)", **holes)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.place import Limits, path_of_value
        from flowrunner.remote.values import NamedValues

        path = path_of_value("" if self.scope == "shared" else place.flow, self.named)
        return NamedValues(host, self.verb, path, Limits(self.max_keys or MOST_KEYS), self.into or self.named)

    def otherwise(self, to: Block, usual: Any) -> Any:
        """The value where there is none."""
        return to.constant(usual) if self.default is None else to.value(self.default)

    def open(self, host: Host) -> Store:
        """The store that this step shares with all that name the same value."""
        is_shared = self.scope == "shared"
        return host.store(self.named, is_shared=is_shared, is_kept=self.persist, max_keys=self.max_keys)


def get_value(store: Store, key: bytes, default: Any, ttl: float | None) -> Any:
    """The value of a key, or the default."""
    value = store.get(key, ttl)
    return default if value is MISSING else value


def set_value(store: Store, key: bytes, value: Any, ttl: float | None) -> Any:
    """Set the value of a key, and give it back. Raises StepError where it is to be kept and JSON cannot hold it."""
    store.set(key, value, ttl)
    return value


def add_to(store: Store, key: bytes, amount: float, default: Any, ttl: float | None) -> Any:
    """Add to the number of a key, and give the sum. Raises StepError for what is no number, or becomes too large."""
    value = get_value(store, key, default, ttl)
    if not _is_number(value):
        raise StepError(f"only a number can be counted up, the value is {name_kind(value)}", code="not-a-number")
    total = value + amount
    if not isfinite(total):
        raise StepError("the number has become too large to be counted up", code="too-large")
    store.set(key, total, ttl)
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
