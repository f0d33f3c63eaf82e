"""Turns a call of another flow into functions of its own, in which its names cannot meet those of the caller."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from flowrunner.code import ORIGIN, Block, Segment
from flowrunner.compile.guards import Guard
from flowrunner.expressions import Scope
from flowrunner.records import dataclass
from flowrunner.snippets import place
from flowrunner.step import Step
from flowrunner.text import Span

if TYPE_CHECKING:
    from flowrunner.compile.function import FlowWriter
    from flowrunner.steps.call import Call

#: What every function of a flow has under the same name, whoever calls it.
_PASSED = {*ORIGIN, "_origin", "_entry"}


@dataclass(frozen=True, slots=True)
class Frame:
    """Where steps are written: in the flow itself, or in a flow that it calls.

    `globals` are the names that stand in the globals of the compiled code; `errors` is what is known in the steps of an
    `on_error`, and `constants` what has to be set there.
    """

    globals: frozenset[str]
    errors: Scope
    constants: Mapping[str, Any] = field(default_factory=dict)


class Packed:
    """A segment of the caller, called from among the steps of the called flow.

    The caller's names travel in a tuple, `bundle`, or as the `kept` ones that a guard restores.
    """

    def __init__(self, then: Segment, bundle: str, names: Sequence[str], kept: Mapping[str, str] | None = None) -> None:
        self.then = then
        self.bundle = bundle
        self.names = {name: index for index, name in enumerate(names)}
        self.kept = kept or {}

    @property
    def parameters(self) -> Sequence[str]:
        """What must be there to call it."""
        own = self.then.parameters
        passed = [name for name in own if name in _PASSED and name not in self.kept]
        kept = [self.kept[name] for name in own if name in self.kept]
        packed = any(name not in _PASSED and name not in self.kept for name in own)
        return [*passed, *kept, *([self.bundle] if packed else [])]

    def call(self, span: Span) -> ast.Call:
        """A call with the values of the caller's names."""
        call = self.then.call(span)
        call.args = [self.value(argument, span) for argument in call.args]
        return call

    def value(self, argument: ast.expr, span: Span) -> ast.expr:
        """The value of an argument, which is a name of the caller's or an item of a bundle of it."""
        if isinstance(argument, ast.Subscript):
            argument.value = self.value(argument.value, span)
            return argument
        assert isinstance(argument, ast.Name)
        name = argument.id
        if name in self.kept:
            return place(ast.Name(self.kept[name], ast.Load()), span)
        if name in _PASSED:
            return argument
        index = place(ast.Constant(self.names[name]), span)
        return place(ast.Subscript(place(ast.Name(self.bundle, ast.Load()), span), index, ast.Load()), span)


class CallWriter:
    """Writes the calls of one flow."""

    def __init__(self, writer: "FlowWriter") -> None:
        self.writer = writer
        flow = writer.flow
        self.frame = Frame(frozenset({*flow.constants, "flow", "env"}), flow.errors_scope)
        self.frames: dict[int, Frame] = {}  # of `on_error` in called flows, by its id()
        self.own = self.frame
        self.count = 0

    def frame_of(self, handling: object) -> Frame:
        """Where an `on_error` stands."""
        return self.frames.get(id(handling), self.own)

    @contextmanager
    def inside(self, frame: Frame) -> Iterator[None]:
        """While steps are written that belong there."""
        outside, self.frame = self.frame, frame
        yield
        self.frame = outside

    def write(self, step: "Call", block: Block, then: Segment | None) -> None:
        """Write the call; nothing follows behind it."""
        self.count += 1
        bundle = f"_call_{self.count}"
        given = self.write_given(step, block)
        guards = self.writer.guards
        segments = [then, *(guard.then for guard in (guards.here.guard, guards.here.copies) if guard is not None)]
        names = sorted({name for segment in segments if segment is not None for name in segment.parameters} - _PASSED)
        packed = None if then is None else Packed(then, bundle, names)
        scope = step.inside(block.scope)
        frame = Frame(self.frame.globals - frozenset(given), step.error_scope(self.frame.errors), self.unlike(step))
        for handling in handlings_of(step.called.steps):
            self.frames[id(handling)] = frame
        guards.kept_names.append(bundle)
        around = replace(
            guards.here,
            guard=pack_guard(guards.here.guard, bundle, names),
            copies=pack_guard(guards.here.copies, bundle, names),
        )
        with self.inside(frame), guards.entered(around):
            inner = Block(self.writer, scope, first_span(step.called.steps) or block.span)
            also = [*ORIGIN, "_origin", "_entry", *guards.kept_names]
            self.writer.write_steps(step.called.steps, inner, packed)
            part = self.writer.add_part(inner, Scope(dict.fromkeys(given, "any")), [], also)
        if bundle in part.parameters:
            block.run("BUNDLE = VALUES", BUNDLE=bundle, VALUES=self.tuple_of(names, block))
        call = part.call(block.span)
        call.args = [given.get(name, argument) for name, argument in zip(part.parameters, call.args, strict=True)]
        block.run("return CALL", CALL=call)

    def write_given(self, step: "Call", block: Block) -> dict[str, ast.expr]:
        """Write what is computed for the steps; returns what each of their own names is."""
        given: dict[str, ast.expr] = {name: block.constant(value) for name, value in self.unlike(step).items()}
        work = block.inner()
        for name, value in step.given:
            own = f"_with_{self.count}_{name}"
            work.run("OWN = VALUE", OWN=own, VALUE=work.value(value))
            given[name] = block.name(own)
        block.statements += self.writer.guards.wrap(self.writer.guards.around, work)
        return given

    def unlike(self, step: "Call") -> dict[str, Any]:
        """Constants of the called flow that are not just the same in this one."""
        known = self.writer.flow.constants
        here = {name: known[name] for name in self.frame.globals if name in known}
        return {name: value for name, value in step.constants.items() if name not in here or here[name] is not value}

    def tuple_of(self, names: Sequence[str], block: Block) -> ast.expr:
        """The values of names, in order."""
        return place(ast.Tuple([block.name(name) for name in names], ast.Load()), block.span)


def pack_guard(guard: Guard | None, bundle: str, names: Sequence[str]) -> Guard | None:
    """A guard of the caller for steps of the called flow: it hands on what the caller's names were."""
    if guard is None or (guard.then is None and not guard.kept):
        return guard
    kept = dict(guard.kept)
    then = None if guard.then is None else Packed(guard.then, bundle, names, kept)
    return replace(guard, then=then, kept=())


def handlings_of(steps: Sequence[Step]) -> Iterator[object]:
    """Every `on_error` among the steps of a flow, without those of the flows that it calls."""
    for step in steps:
        if step.at.on_error is not None:
            yield step.at.on_error
            yield from handlings_of(step.at.on_error.steps)
        if not step.IS_CALL:
            for inner in step.inner():
                yield from handlings_of(inner)


def first_span(steps: Sequence[Step]) -> Span | None:
    """Where a list of steps begins."""
    return steps[0].at.key_span if steps else None
