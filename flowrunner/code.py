"""Turns what a step does into the statements of its flow, and says what these ask of whoever runs them."""

import ast
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from flowrunner.clock import Clock
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope, Template, lower
from flowrunner.expressions.values import as_text
from flowrunner.lines import Waits
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.snippets import Hole, fill_expression, fill_statements, place
from flowrunner.stores import Store
from flowrunner.text import Span
from flowrunner.values import Value, lower_value

State = TypeVar("State")
Result = TypeVar("Result")
Resource = TypeVar("Resource", bound="Closing")


class Closing(Protocol):
    """Something that is closed at the end."""

    async def aclose(self) -> None:
        """Let go of it."""


class Running(Protocol):
    """Work that goes on beside the flow."""

    def cancel(self) -> object:
        """End it soon."""


class Publish(Protocol):
    """Publishes a message on one connection; never blocks. The topic is valid already."""

    def __call__(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - positional, because it is called for every message
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """Hand the message to the client."""


class Host(Protocol):
    """What a compiled flow asks of whoever runs it: a runner, a test, a rehearsal with one message."""

    def publisher(self, connection: str) -> Publish:
        """The function that publishes on a connection."""

    def log(self, flow: str, level: str, text: str) -> None:
        """Show a line of a `log` step; `level` is `debug`, `info`, `warning` or `error`."""

    def failed(self, flow: str, error: Exception, origin: Message) -> None:
        """Count and report a message that a step dropped by failing; `origin` is what arrived."""

    def handled(self, flow: str, error: Exception) -> None:
        """Count a failure that the flow's own `on_error` took care of."""

    @property
    def clock(self) -> Clock:
        """The only time that a flow knows."""

    def keep(self, name: str, shape: Hashable, make: Callable[[], State]) -> State:
        """The state of a step: what the version before left under this name and in this shape, else a new one."""

    def store(self, name: str, *, is_shared: bool, is_kept: bool, max_keys: int | None) -> Store:
        """The named values of a `state` step: of this flow or of all, in memory or kept over a restart.

        All steps that ask for one name get one store. Raises FlowrunnerError where values cannot be kept.
        """

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        """Have `start` called when this version of the flow takes over, and `stop` when it hands over or ends."""

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """Do work in the loop while the flow goes on; `done` gets what it returned or raised."""

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """What all flows of this host use together (an HTTP client), made when it is first asked for."""

    def waiting(self, waits: Waits) -> None:
        """Know what waits in this version of the flow, so that it can be finished before the version ends."""

    def queue_dropped(self, flow: str, place: str) -> None:
        """Count a message that was dropped because too many waited; see `flowrunner.lines.Told`."""

    def queue_drained(self, flow: str, place: str) -> None:
        """There is room again where messages were dropped."""

    def stopped(self, flow: str, reason: str) -> None:
        """Count a message that a `stop` step ended, under its reason."""

    def now(self) -> float:
        """Seconds since 1970."""


#: What arrived, as `_origin` in compiled code; the parameters of a compiled flow, in order.
ORIGIN = ("topic", "payload", "qos", "retain", "properties")


class Writer(Protocol):
    """What writes the function of a flow; steps reach it through their block."""

    def bind(self, name: str, make: Callable[[Host], object]) -> str:
        """Have `make(host)` called when the flow is bound; returns the global name of what it gives."""

    def share(self, name: str, value: object) -> str:
        """Put a value that all runs share (a helper function, a constant) under a global name; returns that name."""

    @property
    def flow_name(self) -> str:
        """The name of the flow that is being written."""

    @property
    def connections(self) -> Sequence[str]:
        """For each source of the flow, the connection on which its messages come (empty: it is a tick)."""

    def name_of(self, step: Any) -> str:
        """What a step is called in this flow: its `id`, else its kind and its place among its kind."""

    def place_of(self, step: Any) -> int:
        """The place (from 1) of a step among its kind."""

    def is_cut(self, step: Any) -> bool:
        """Whether a step, or one inside it on the way of the same message, hands messages on later."""

    def resume(self, holder: str, block: "Block", then: "Segment") -> ast.expr:
        """A display of all that the message is here, with which the holder lets it go on later (as its `resume`)."""

    def write_steps(self, steps: Sequence[Any], block: "Block", then: "Segment | None") -> None:
        """Write a list of steps at the end of a block; `then` is where the message goes on afterwards."""

    def call_apart(self, block: "Block", segment: "Segment") -> None:
        """Write a call whose failure is reported and goes no further."""

    def segment(self, block: "Block", scope: Scope, write: Callable[["Block"], None]) -> "Segment":
        """Write what `write` writes as a function of its own: what comes behind a step that is cut."""

    def branch(self, block: "Block", steps: Sequence[Any]) -> "Segment":
        """Write steps that work on a copy of the message as a function of their own."""

    def write_call(self, step: Any, block: "Block", then: "Segment | None") -> None:
        """Write a call of the steps of another flow, behind which the message goes on with `then`."""

    def condition(self, block: "Block", when: Expression) -> ast.expr:
        """Write a condition on which the way of a message depends, guarded by the `on_error` around it."""


class Segment(Protocol):
    """A part of a flow that is called: later, several times, or from several places."""

    @property
    def parameters(self) -> Sequence[str]:
        """The names of the values with which it is called."""

    def call(self, span: Span) -> ast.Call:
        """A call with the values that stand in the calling code."""


class Block:
    """Statements that are being written at one place, and what is known there."""

    def __init__(self, writer: Writer, scope: Scope, span: Span) -> None:
        self.writer = writer
        self.scope = scope
        self.span = span
        self.statements: list[ast.stmt] = []

    def run(self, source: str, **holes: Hole) -> None:
        """Append the snippet. Its upper-case names are holes: an expression, a name, or a list of statements."""
        self.statements += fill_statements(source, self.span, holes)

    def expression(self, source: str, **holes: Hole) -> ast.expr:
        """A snippet that is one expression, to be put into a hole."""
        return fill_expression(source, self.span, holes)

    def assign(self, names: Sequence[str], values: Sequence[ast.expr]) -> None:
        """Set several names at once: if computing one of the values fails, none is set."""
        targets = place(
            ast.Tuple([place(ast.Name(name, ast.Store()), self.span) for name in names], ast.Store()), self.span
        )
        value = place(ast.Tuple(list(values), ast.Load()), self.span)
        self.statements.append(place(ast.Assign([targets], value), self.span))

    def display(self, base: ast.expr | None, entries: Sequence[tuple[str, ast.expr]]) -> ast.expr:
        """A new map: what is in `base`, and over it the entries."""
        keys: list[ast.expr | None] = [] if base is None else [None]
        keys += [self.constant(key) for key, _ in entries]
        values = ([] if base is None else [base]) + [value for _, value in entries]
        return place(ast.Dict(keys, values), self.span)

    def unpack(self, names: Sequence[str]) -> None:
        """Set names to what a held message has under them."""
        targets = [place(ast.Name(name, ast.Store()), self.span) for name in names]
        target = place(ast.List(list(targets), ast.Store()), self.span)
        holes = {"UNPACK": self.helper(unpack_held), "NAMES": self.constant(tuple(names))}
        value = self.expression("UNPACK(_held, NAMES)", **holes)
        self.statements.append(place(ast.Assign([target], value), self.span))

    def drop(self) -> None:
        """End the message here, unless nothing comes here."""
        if not self.statements or not isinstance(self.statements[-1], ast.Return):
            self.run("return")

    def value(self, value: "Expression | Template | Value") -> ast.expr:
        """What computes an expression, a template or a value of the user's, with the positions of the file."""
        if isinstance(value, Expression | Template):
            return lower(value, self.scope)
        return lower_value(value, self.scope, self.constant)

    def constant(self, value: Any) -> ast.expr:
        """A constant: written out where it is short, else shared (values in a flow are never changed in place)."""
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return place(ast.Constant(value), self.span)
        return self.name(self.writer.share("constant", value))

    def helper(self, function: Callable[..., Any]) -> ast.expr:
        """A function of our own that the compiled code calls."""
        return self.name(self.writer.share(function.__name__, function))

    def bound(self, name: str, make: Callable[[Host], object]) -> ast.expr:
        """What `make(host)` gives when the flow is bound: a publisher, an object that keeps a step's state."""
        return self.name(self.writer.bind(name, make))

    def shared(self, name: str, value: object) -> ast.expr:
        """An object of our own that all runs of this step share."""
        return self.name(self.writer.share(name, value))

    def dynamic(self, value: Any, check: Callable[[Any], Any]) -> ast.expr:
        """An option of a fixed kind: a constant, or an expression whose value `check` lets pass."""
        if isinstance(value, Expression):
            return self.expression("CHECK(VALUE)", CHECK=self.helper(check), VALUE=self.value(value))
        return self.constant(value)

    def text(self, template: Template) -> ast.expr:
        """A template as a text, also where it is a single `${...}` of another type."""
        if template.single is None:
            return self.value(template)
        return self.expression("TEXT(VALUE)", TEXT=self.helper(as_text), VALUE=self.value(template))

    def pack(self, values: Sequence[ast.expr]) -> ast.expr:
        """A tuple of values."""
        return place(ast.Tuple(list(values), ast.Load()), self.span)

    def run_call(self, function: ast.expr, arguments: Sequence[ast.expr]) -> None:
        """Append a call for its effect."""
        call = place(ast.Call(function, list(arguments), []), self.span)
        self.statements.append(place(ast.Expr(call), self.span))

    def run_apart(self, segment: "Segment") -> None:
        """Call a segment so that its failure concerns nothing that follows here."""
        self.writer.call_apart(self, segment)

    def filled(self) -> list[ast.stmt]:
        """The statements, or `pass` where there are none."""
        return self.statements or fill_statements("pass", self.span, {})

    def kept(
        self, step: Any, shape: Hashable, state: Callable[[Host], Any], make: Callable[[Host, Any], object]
    ) -> str:
        """The name of an object that works on the state of a step.

        The state outlives the object: when the flow was edited, the new version's object takes it over, as long as the
        step has the same name and the shape is equal.
        """
        name = self.writer.name_of(step)
        return self.writer.bind(
            f"{step.KEY}_{self.writer.place_of(step)}",
            lambda host: make(host, host.keep(name, shape, lambda: state(host))),
        )

    def name(self, name: str) -> ast.expr:
        """A global or local name, read at the place of the step."""
        return place(ast.Name(name, ast.Load()), self.span)

    def inner(self, scope: Scope | None = None) -> "Block":
        """A block inside this one (a branch), to be filled and put into a hole."""
        return Block(self.writer, scope or self.scope, self.span)

    def call(self, segment: Segment) -> None:
        """Hand the message on to a segment; nothing follows here."""
        self.run("return CALL", CALL=segment.call(self.span))


def unpack_held(held: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """The values of a message that a step held; a name that is new since an edit is a StepError."""
    try:
        return [held[name] for name in names]
    except KeyError as error:
        message = f"the message was held since before the edit, and has no `{error.args[0]}`"
        raise StepError(message, code="held-before-edit") from None
