"""Turns the steps of a flow into Python functions: one for the flow, more where a message goes several ways."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from flowrunner.code import ORIGIN, Block, Host, Segment
from flowrunner.compile.calls import CallWriter
from flowrunner.compile.entry import names_in, names_set_in, write_entry
from flowrunner.compile.fingerprint import digest, form
from flowrunner.compile.guards import Guard, Guards
from flowrunner.compile.taps import Taps, TapWriter
from flowrunner.compile.waits import WaitWriter
from flowrunner.expressions import NAMESPACE, Expression, Scope
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.remembering import KeepingStep
from flowrunner.snippets import place
from flowrunner.sources import Subscribe
from flowrunner.step import Step, is_cut, walk
from flowrunner.text import Span
from flowrunner.waiting import WaitingStep

#: What compiled code reads besides the names of its steps; no helper is called so.
OWN_NAMES = {
    "_describe", "_entry", "_error", "_failed", "_handled", "_held", "_items", "_job", "_key", "_levels", "_origin",
    "_when",
}  # fmt: skip


@dataclass(slots=True)
class Part:
    """A function of the flow: its name, the values with which it is called, and its statements."""

    name: str
    parameters: list[str]
    body: list[ast.stmt]
    span: Span

    def call(self, span: Span) -> ast.Call:
        """A call with the values of the same names that stand in the calling code."""
        arguments: list[ast.expr] = [place(ast.Name(name, ast.Load()), span) for name in self.parameters]
        return place(ast.Call(place(ast.Name(self.name, ast.Load()), span), arguments, []), span)

    def definition(self) -> ast.FunctionDef:
        """The function as Python knows it."""
        parameters = [place(ast.arg(name), self.span) for name in self.parameters]
        arguments = ast.arguments([], parameters, None, [], [], None, [])
        return place(ast.FunctionDef(self.name, arguments, self.body, []), self.span)


class FlowWriter:
    """Writes the functions of one flow; it is the `flowrunner.code.Writer` of its steps."""

    def __init__(
        self,
        flow: Flow,
        *,
        mark: Callable[[Step], ast.stmt] | None = None,
        taps: Taps | None = None,
        is_remote: bool = False,
    ) -> None:
        self.flow = flow
        self.name = "_flow_" + re.sub(r"\W", "_", flow.name, flags=re.ASCII)
        self.mark = mark
        self.parts: list[Part] = []
        self.shared: dict[str, object] = {}
        self.shared_names: dict[tuple[str, int], str] = {}
        self.bound: dict[str, Callable[[Host], object]] = {}
        self.bound_names: dict[str, str] = {}
        self.taken = (NAMESPACE, OWN_NAMES, self.shared, self.bound)
        self.calls = CallWriter(self)
        self.guards = Guards(self)
        self.waits = WaitWriter(self)
        self.taps = TapWriter(self, taps)
        self.resumes: dict[str, str] = {}  # name of what holds messages -> name of the function that lets them go on
        self.places = place_steps(flow)
        self.names = name_steps(flow)
        self.remotes = remote_steps(flow, self.names) if is_remote else {}

    def write(self) -> list[Part]:
        """The functions of the flow; the last one is called for every message."""
        block = Block(self, self.flow.scope, self.flow.span)
        self.write_steps(self.flow.steps, block, None)
        self.waits.is_serial |= are_read_and_set(self.flow, self.remotes)
        body = block.filled()
        head = Block(self, self.flow.scope, self.flow.span)
        write_entry(self.flow, head, names_in(body), has_origin=self.guards.is_used)
        top = Part(self.name, [*ORIGIN, "_entry"], [*head.statements, *body], self.flow.span)
        return [*self.parts, top]

    def bind(self, name: str, make: Callable[[Host], object]) -> str:
        """See `Writer.bind`; under one name stands one thing (the publisher of a connection, the log)."""
        if name not in self.bound_names:
            self.bound_names[name] = self.free_name(re.sub(r"\W", "_", name, flags=re.ASCII))
            self.bound[self.bound_names[name]] = make
        return self.bound_names[name]

    def share(self, name: str, value: object) -> str:
        """See `Writer.share`."""
        key = (name, id(value))
        if key not in self.shared_names:
            self.shared_names[key] = self.free_name(name.lstrip("_"))
            self.shared[self.shared_names[key]] = value
        return self.shared_names[key]

    def free_name(self, name: str) -> str:
        """A global name that nothing else has."""
        numbered = (f"_{name}" if number == 1 else f"_{name}_{number}" for number in count(1))
        return next(free for free in numbered if not any(free in taken for taken in self.taken))

    @property
    def flow_name(self) -> str:
        """See `Writer.flow_name`."""
        return self.flow.name

    @property
    def connections(self) -> Sequence[str]:
        """See `Writer.connections`."""
        return [source.connection if isinstance(source, Subscribe) else "" for source in self.flow.sources]

    def name_of(self, step: Step) -> str:
        """See `Writer.name_of`."""
        return self.names[id(step)]

    def place_of(self, step: Step) -> int:
        """See `Writer.place_of`."""
        return self.places[id(step)]

    def resume(self, holder: str, block: Block, then: Segment) -> ast.expr:
        """See `Writer.resume`."""
        inner = Block(self, block.scope, block.span)
        inner.run("_origin = _held['_origin']")
        names = list(then.parameters)
        work = inner.inner()
        if names:
            work.unpack(names)
        work.statements.append(place(ast.Expr(then.call(block.span)), block.span))
        inner.statements += self.guards.failing_apart(work)
        self.resumes[holder] = self.add_part(inner, Scope({}), ["_held"]).name
        known = [name for name in block.scope.names if name not in self.calls.frame.globals]
        held = dict.fromkeys(["_origin", *known, *names])
        return block.display(None, [(name, block.name(name)) for name in held])

    def segment(self, block: Block, scope: Scope, write: Callable[[Block], None]) -> Part:
        """See `Writer.segment`."""
        also = [*ORIGIN, "_origin", "_entry", *self.guards.kept_names]
        inner = Block(self, scope, block.span)
        write(inner)
        names = Scope({name: kind for name, kind in scope.names.items() if name not in ORIGIN})
        return self.add_part(inner, names, [], also)

    def branch(self, block: Block, steps: Sequence[Step]) -> Part:
        """See `Writer.branch`."""
        with self.guards.copy():
            return self.segment(block, block.scope, lambda inner: self.write_steps(steps, inner, None))

    def add_part(self, block: Block, scope: Scope, first: list[str], also: Iterable[str] = ()) -> Part:
        """A function that gets, after its `first` parameters, those of the names known here that it uses."""
        body = block.filled()
        used = names_in(body) - set(first) - self.calls.frame.globals
        local = [name for name in [*also, *scope.names] if name in used]
        part = Part(f"{self.name}_{len(self.parts) + 2}", [*first, *local], body, block.span)
        self.parts.append(part)
        return part

    def write_steps(self, steps: Sequence[Step], block: Block, then: Segment | None) -> None:
        """See `Writer.write_steps`. Steps in a row that are guarded from outside share one `try`."""
        row = block.inner()
        done = -1
        for index, step in enumerate(steps):
            if index == done:
                continue
            if id(step) not in self.flow.scopes:  # no message reaches it, as a warning of `check` says
                break
            if self.write_two(steps[index : index + 2], block, row):
                done = index + 1
                continue
            if self.is_cut(step):
                self.write_cut(step, steps[index + 1 :], block, row, then)
                return
            self.write_plain(step, steps[index + 1 :], block, row)
        self.close(row, block)
        if then is not None:
            block.call(then)

    def close(self, row: Block, block: Block) -> None:
        """End a row of steps that share a guard."""
        block.statements += self.guards.wrap(self.guards.around, row)
        row.statements = []

    def write_two(self, steps: Sequence[Step], block: Block, row: Block) -> bool:
        """Two steps as one, if they can be that, and nobody looks between them."""
        if len(steps) < 2 or self.mark or not all(self.is_bare(step) for step in steps):
            return False
        first, second = steps
        for known in (block, row):
            known.span, known.scope = first.at.key_span, self.flow.scopes[id(first)]
        behind = Block(self, self.flow.scopes[id(second)], second.at.key_span)
        return first.emit_with(second, row, behind)

    def is_cut(self, step: Step) -> bool:
        """See `Writer.is_cut`."""
        if not self.remotes:
            return is_cut(step)
        if id(step) in self.remotes or step.is_cut() or step.IS_CALL:
            return True
        return step.IS_ON_THE_WAY and any(self.is_cut(nested) for branch in step.inner() for nested in branch)

    def is_bare(self, step: Step) -> bool:
        """Whether a step is nothing but its work: without condition, guard and tap."""
        is_reached = id(step) in self.flow.scopes and not self.is_cut(step)
        return is_reached and step.at.when is None and not self.guards.is_own(step) and not self.taps.wants(step)

    def write_plain(self, step: Step, rest: Sequence[Step], block: Block, row: Block) -> None:
        """A step behind which the next line is the next step."""
        for known in (block, row):
            known.span, known.scope = step.at.key_span, self.flow.scopes[id(step)]
        if self.guards.is_own(step):
            self.close(row, block)
        guard = self.guards.own(step)
        work = block.inner()
        if self.mark:
            (block if guard else row).statements.append(self.mark(step))
        self.taps.write("in", step, block if guard else row)
        with self.guards.inside(step, guard, is_inline=True):
            step.emit(work)
        if step.at.when is not None:
            inside, work = work, block.inner()
            self.write_condition(step, work, block.value(step.at.when), inside)
        if guard is None:
            row.statements += work.statements
        else:
            if next(step.inner(), None) is not None:
                set_inside = names_set_in(work.statements)
                guard = self.guards.keeping(guard, block, [name for name in work.scope.names if name in set_inside])
            block.statements += self.guards.wrap(guard, work)
        if not work.statements or not isinstance(work.statements[-1], ast.Return):
            self.taps.write("out", step, row if guard is None else block, self.taps.behind(step, rest, block.scope))

    def write_condition(self, step: Step, to: Block, when: ast.expr, work: Block) -> None:
        """The code of a step, run if its `when` is true."""
        skipped = self.taps.write_skipped(step, to).statements
        source = "if WHEN:\n    WORK\nelse:\n    SKIPPED" if skipped else "if WHEN:\n    WORK"
        to.run(source, WHEN=when, WORK=work.filled(), SKIPPED=skipped)

    def write_cut(self, step: Step, rest: Sequence[Step], block: Block, row: Block, then: Segment | None) -> None:
        """A step behind which the message goes on in another function, which is written first."""
        self.close(row, block)
        block.span, block.scope = step.at.key_span, self.flow.scopes[id(step)]
        if rest and id(rest[0]) in self.flow.scopes:
            then = self.write_behind(step, rest, block, then)
        else:
            then = self.taps.segment(step, rest, block, then)
        if self.mark:
            block.statements.append(self.mark(step))
        self.taps.write("in", step, block)
        waiting = self.remotes.get(id(step), step)
        if isinstance(waiting, WaitingStep):
            self.waits.write(waiting, block, then)
            return
        own = self.guards.own_of_cut(step, block, then)
        guard = own or self.guards.around
        condition = None if step.at.when is None else self.guards.condition(block, guard, step.at.when)
        work = block.inner()
        self.write_work(step, work, own, then)
        if condition is None:
            block.statements += work.statements
            return
        if then is not None:
            work.drop()
        self.write_condition(step, block, condition, work)
        if then is not None:
            block.call(then)

    def write_behind(self, step: Step, rest: Sequence[Step], block: Block, then: Segment | None) -> Segment:
        """The steps behind a cut one as a function of their own."""
        scope = self.flow.scopes[id(rest[0])]

        def write(inner: Block) -> None:
            self.taps.write("out", step, inner, scope)
            self.write_steps(rest, inner, then)

        return self.segment(block, scope, write)

    def write_work(self, step: Step, work: Block, own: Guard | None, then: Segment | None) -> None:
        """The code of a cut step, and how the message goes on."""
        if step.is_cut():
            inner = work.inner()
            with self.guards.inside(step, own, is_inline=True):
                step.emit(inner)
            work.statements += self.guards.wrap(own or self.guards.around, inner)
            if then is not None:
                step.emit_then(work, then)
        else:
            with self.guards.inside(step, own, is_inline=False):
                step.emit_then(work, then)

    def write_call(self, step: Any, block: Block, then: Segment | None) -> None:
        """See `Writer.write_call`."""
        self.calls.write(step, block, then)

    def condition(self, block: Block, when: Expression) -> ast.expr:
        """See `Writer.condition`."""
        return self.guards.condition(block, self.guards.around, when)

    def call_apart(self, block: Block, segment: Segment) -> None:
        """See `Writer.call_apart`."""
        work = block.inner()
        work.statements.append(place(ast.Expr(segment.call(block.span)), block.span))
        block.statements += self.guards.failing_apart(work)


def remote_steps(flow: Flow, names: Mapping[int, str]) -> dict[int, WaitingStep]:
    """What stands for the steps of a flow that have their memory in Redis, by their id()."""
    from flowrunner.remote.place import Place
    from flowrunner.remote.step import RemoteStep

    found: dict[int, WaitingStep] = {}
    for step in walk([*flow.steps, *flow.on_error.steps]):
        if step.CAN_BE_SHARED:
            shape = digest(form(step.shape())) if isinstance(step, KeepingStep) else ""
            found[id(step)] = RemoteStep(at=step.at, step=step, place=Place(flow.name, names[id(step)], shape))
    return found


def are_read_and_set(flow: Flow, remotes: Mapping[int, WaitingStep]) -> bool:
    """Whether several steps work on one value that is elsewhere: then a message must not come between them."""
    used = [step.memory() for step in walk([*flow.steps, *flow.on_error.steps]) if id(step) in remotes]
    named = [name for name in used if name]
    return len(named) != len(set(named))


def place_steps(flow: Flow) -> dict[int, int]:
    """The place of every step among its kind, from 1, by its id()."""
    places: dict[int, int] = {}
    counted: dict[str, int] = {}
    for step in walk([*flow.steps, *flow.on_error.steps]):
        counted[step.KEY] = places[id(step)] = counted.get(step.KEY, 0) + 1
    return places


def name_steps(flow: Flow) -> dict[int, str]:
    """What every step is called, by its id(): its `id`, else its kind and its place among its kind.

    The steps of a flow that is called are counted by themselves, and bear the name of the call: `call 1/debounce 2`.
    """
    names: dict[int, str] = {}

    def name(steps: Sequence[Step], before: str, counted: dict[str, int]) -> None:
        for step in steps:
            counted[step.KEY] = counted.get(step.KEY, 0) + 1
            names[id(step)] = own = before + (step.at.id or f"{step.KEY} {counted[step.KEY]}")
            for inner in step.inner():
                name(inner, f"{own}/" if step.IS_CALL else before, {} if step.IS_CALL else counted)
            if step.at.on_error:
                name(step.at.on_error.steps, before, counted)

    name([*flow.steps, *flow.on_error.steps], "", {})
    return names
