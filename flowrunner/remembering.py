"""Turns a step that remembers into one whose memory is bounded, kept by key, and survives an edit of the flow."""

import ast
from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Protocol

from flowrunner.code import Block, Host, Segment
from flowrunner.expressions import Expression, Scope
from flowrunner.expressions.form import form_of
from flowrunner.memory import MOST_KEYS, Deadlines, Key, Memory, Resume, as_key
from flowrunner.options import Duration, ExpressionKind, Integer, option
from flowrunner.options.numbers import check_duration
from flowrunner.records import dataclass
from flowrunner.step import Check, Step


class State(Protocol):
    """What a step knows, which outlives the version of the flow that made it."""

    owner: "Worker | None"


class Worker:
    """Works on the state of a step for one version of its flow, `flow`."""

    resume: Resume  # put in place when the flow is bound
    flow: str = ""
    #: Gets the key of a message, the message, and what was computed for it; what becomes of it is the step's business.
    take: Callable[..., None]

    def __init__(self, host: Host, state: State) -> None:
        self.clock = host.clock
        self.state = state

    def turn_on(self) -> None:
        """Take over the state from the version before."""
        self.state.owner = self
        self.start()

    def start(self) -> None:
        """Let this version's timers run."""

    def stop(self) -> None:
        """Hand over, or end: none of this version's timers rings any more."""

    def enter(self, *given: Any) -> None:
        """Get a message, in whichever version it was until here; it goes on in the one that holds the state."""
        (self.state.owner or self).take(*given)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingStep(Step):
    """A step with a state that survives an edit."""

    def shape(self) -> Hashable:
        """What must stay equal in an edit for the state to be kept; limits such as a duration may change."""
        return self.KEY

    @abstractmethod
    def state(self, host: Host) -> Any:
        """A new state."""

    @abstractmethod
    def worker(self, host: Host, state: Any) -> Worker:
        """The object that works on the state for this version of the flow."""

    def begin(self, host: Host, state: Any, flow: str, name: str) -> None:
        """Prepare the state for this version, as it takes over; `name` is what the step is called in the flow."""

    def worker_name(self, to: Block) -> str:
        """The name of this step's worker in compiled code."""
        flow, name = to.writer.flow_name, to.writer.name_of(self)

        def make(host: Host, state: Any) -> Worker:
            worker = self.worker(host, state)
            worker.flow = flow

            def start() -> None:
                self.begin(host, state, flow, name)
                worker.turn_on()

            host.on_turn(start, worker.stop)
            return worker

        return to.kept(self, self.shape(), self.state, make)

    def emit_take(self, to: Block, then: Segment, key: ast.expr, *given: ast.expr) -> None:
        """Give the worker the message, which it lets go on later."""
        name = self.worker_name(to)
        held = to.writer.resume(name, to, then)
        to.run_call(to.expression("WORKER.enter", WORKER=to.name(name)), [key, held, *given])


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberingStep(KeepingStep):
    """A step with a memory by key; its options `by`, `max_keys` and `ttl` mean the same everywhere."""

    by: Expression | None = option(ExpressionKind(), "remember for each value of this separately", default=None)
    max_keys: int = option(Integer(1), "the most keys that are remembered; the oldest goes", default=MOST_KEYS)
    ttl: float | None = option(Duration(), "forget a key that was not touched for so long", default=None)

    def shape(self) -> Hashable:
        return (self.KEY, self.by and form_of(self.by))

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        """Options that say how long a key is needed, with their values (seconds, or what is no number)."""
        return ()

    def check(self, scope: Scope, check: Check) -> Scope | None:
        self.check_ttl(check)
        return Step.check(self, scope, check)

    def check_ttl(self, check: Check) -> None:
        """Report a `ttl` that forgets a key while it is still needed."""
        for name, seconds in self.lasting():
            if self.ttl is not None and isinstance(seconds, float) and self.ttl <= seconds:
                message = f"`ttl` of `{self.KEY}` must be longer than `{name}`"
                helps = ("`ttl` is for keys that never come again; without it the oldest go when there are too many",)
                check.report.say("wrong-value", message, self.at.key_span, helps=helps)
                return

    def state(self, host: Host) -> Memory[Any]:
        return Memory(host.clock)

    def begin(self, host: Host, state: Memory[Any], flow: str, name: str) -> None:
        state.max_keys, state.ttl = self.max_keys, self.ttl
        help = "raise `max_keys`, or give a `ttl`"
        text = f"`{name}` remembers {self.max_keys} keys: from now on the oldest are forgotten ({help})"
        state.on_full = lambda: host.log(flow, "warning", text)

    def plain_key(self, to: Block) -> ast.expr:
        """What makes the key of the message."""
        return to.constant("") if self.by is None else to.value(self.by)

    def key(self, to: Block) -> ast.expr:
        """The key of the message."""
        if self.by is None:
            return to.constant("")
        return to.expression("AS_KEY(VALUE)", AS_KEY=to.helper(as_key), VALUE=to.value(self.by))


class KeyedWorker(Worker):
    """A worker whose step does something with a key when its time has come."""

    def __init__(self, host: Host, memory: Memory[Any]) -> None:
        super().__init__(host, memory)
        self.memory = memory
        self.deadlines = Deadlines(self.clock, self.release)

    def start(self) -> None:
        self.memory.on_forget = self.deadlines.discard
        for key in self.memory:
            value = self.memory.get(key)
            due = None if value is None else self.due(value)
            if due is not None:
                self.deadlines.set(key, due)
        self.deadlines.start()

    def stop(self) -> None:
        self.deadlines.stop()

    def due(self, value: Any) -> float | None:
        """When something is to be done with a key, going by what is remembered of it."""
        raise NotImplementedError

    def release(self, key: Key) -> None:
        """Do it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingStep(RememberingStep):
    """A step that holds messages by key, and lets them go on later.

    `GIVEN` are the fields with durations that may hold `${...}`: they are computed for each message, and come with it.
    """

    GIVEN: ClassVar[tuple[str, ...]] = ()

    def is_cut(self) -> bool:
        return True

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        names = {option.field: option.name for option in self.options()}
        return tuple((names[field], getattr(self, field)) for field in self.GIVEN)

    def locals(self) -> list[str]:
        """The names of what is computed for each message."""
        return ["_key", *(f"_given_{field}" for field in self.GIVEN)]

    def emit(self, to: Block) -> None:
        given = [to.dynamic(getattr(self, field), check_duration) for field in self.GIVEN]
        if given:
            to.assign(self.locals(), [self.key(to), *given])
        else:
            to.run("_key = KEY", KEY=self.key(to))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is not None:
            key, *given = (to.name(name) for name in self.locals())
            self.emit_take(to, then, key, *given)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatingStep(HoldingStep):
    """A step that holds messages only if it `is_cut`.

    Else each goes on or ends at once, as `passes` of its worker says, which gets the key of the message.
    """

    def emit(self, to: Block) -> None:
        if self.is_cut():
            HoldingStep.emit(self, to)
            return
        to.run("if not WORKER.passes(KEY):\n    return", WORKER=to.name(self.worker_name(to)), KEY=self.key(to))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if self.is_cut():
            HoldingStep.emit_then(self, to, then)
