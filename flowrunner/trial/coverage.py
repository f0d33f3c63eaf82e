"""Turns the places of compiled code that tests run through into the steps and branches that no test has reached."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowrunner.compile import Program, compile_flow
from flowrunner.compile.failure import find_place, step_at
from flowrunner.compile.function import FlowWriter, Part
from flowrunner.expressions import Expression
from flowrunner.read.flow import Flow
from flowrunner.snippets import place
from flowrunner.step import Step
from flowrunner.steps.filter import Filter
from flowrunner.steps.fork import Fork
from flowrunner.steps.switch import Switch
from flowrunner.text import Span

Key = tuple[str, int, str]
Place = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Spot:
    """A step, or one way behind it: where it stands, and what it is in words."""

    span: Span
    text: str
    is_branch: bool = False

    @property
    def key(self) -> Key:
        """What tells it from others, also where the file was read twice."""
        return self.span.source.name, self.span.start, self.text


@dataclass(slots=True)
class Coverage:
    """What tests have reached of some flows. It is the watcher of their programs: see `compile_watched`."""

    spots: dict[Key, Spot] = field(default_factory=dict)
    reached: set[Key] = field(default_factory=set)
    keys: list[tuple[Key | None, Key | None]] = field(default_factory=list)

    def add(self, flow: Flow) -> None:
        """Know the steps of a flow, and of those that it calls."""
        for spot in spots_of(flow):
            self.spots.setdefault(spot.key, spot)

    def hit(self, number: int) -> None:
        """Called by compiled code before a step."""
        self._reach(self.keys[number][0])

    def choose(self, number: int, value: object) -> object:
        """Called by compiled code with the value of a condition."""
        self._reach(self.keys[number][0 if value else 1])
        return value

    def number(self, yes: Spot | None, no: Spot | None = None) -> int:
        """The number under which compiled code tells of these."""
        self.keys.append((yes.key if yes else None, no.key if no else None))
        return len(self.keys) - 1

    def failed(self, program: Program, error: Exception) -> None:
        """A step has failed: the `on_error` that is meant for it was reached."""
        flow = program.flow
        span, _ = find_place(flow, program.code, error)
        step = step_at(flow, span)
        way = _way_to(step, [*flow.steps, *flow.on_error.steps]) if step is not None else []
        guarded = next((one for one in reversed(way) if one.at.on_error is not None), None)
        self._reach((_on_error(guarded) if guarded is not None else _on_error_of(flow)).key)

    def _reach(self, key: Key | None) -> None:
        if key is not None:
            self.reached.add(key)


def compile_watched(flow: Flow, coverage: Coverage) -> Program:
    """Compile a flow so that it tells where its messages come. Raises FlowError as `compile_flow` does."""
    coverage.add(flow)
    return compile_flow(flow, watch=_Watch(flow, coverage))


class _Watch:
    """Writes what tells of steps and conditions into the code of a flow."""

    def __init__(self, flow: Flow, coverage: Coverage) -> None:
        self.coverage = coverage
        self.conditions = {_place_of(one): (yes, no) for one, yes, no in conditions_of(flow)}
        self.hit = self.choose = ""

    def begin(self, writer: FlowWriter) -> None:
        """Give the functions that are called a name."""
        self.hit = writer.share("hit", self.coverage.hit)
        self.choose = writer.share("choose", self.coverage.choose)

    def mark(self, step: Step) -> ast.stmt:
        """A statement that tells that a message has come to a step."""
        call = self._call(self.hit, self.coverage.number(_step(step)), [], step.at.key_span)
        return place(ast.Expr(call), step.at.key_span)

    def edit(self, part: Part) -> None:
        """Have the conditions in a function tell their values; their places tell which they are."""
        editor = _Editor(lambda node: self._found(node, part.span.source.name), self._told)
        part.body = [editor.visit(statement) for statement in part.body]

    def _found(self, node: ast.expr, file: str) -> tuple[Spot | None, Spot | None] | None:
        end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0
        return self.conditions.get((file, node.lineno, node.col_offset, end_line, end_column))

    def _told(self, node: ast.expr, spots: tuple[Spot | None, Spot | None]) -> ast.expr:
        call = self._call(self.choose, self.coverage.number(*spots), [node], None)
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def _call(self, function: str, number: int, more: list[ast.expr], span: Span | None) -> ast.Call:
        name, constant = ast.Name(function, ast.Load()), ast.Constant(number)
        call = ast.Call(name, [constant, *more], [])
        if span is not None:
            for node in (name, constant, call):
                place(node, span)
        return call


class _Editor(ast.NodeTransformer):
    """Replaces the outermost expressions that are found."""

    def __init__(
        self,
        found: Callable[[ast.expr], tuple[Spot | None, Spot | None] | None],
        replace: Callable[[ast.expr, tuple[Spot | None, Spot | None]], ast.expr],
    ) -> None:
        self.found = found
        self.replace = replace

    def visit(self, node: ast.AST) -> Any:
        """Replace an expression, or go on inside of it."""
        if isinstance(node, ast.expr) and (spots := self.found(node)) is not None:
            return self.replace(node, spots)
        return self.generic_visit(node)


def _place_of(condition: Expression) -> Place:
    tree = condition.tree
    file = condition.passage.source.name
    return file, tree.lineno, tree.col_offset, tree.end_lineno or 0, tree.end_col_offset or 0


def steps_of(flow: Flow) -> Iterator[Step]:
    """The steps of a flow to which messages can come."""

    def walk(steps: Sequence[Step]) -> Iterator[Step]:
        for step in steps:
            if id(step) in flow.scopes:
                yield step
                for inner in step.inner():
                    yield from walk(inner)
                yield from walk(step.at.on_error.steps if step.at.on_error else ())

    yield from walk([*flow.steps, *flow.on_error.steps])


def spots_of(flow: Flow) -> Iterator[Spot]:
    """Every step of a flow, and every way that a message can take."""
    for step in steps_of(flow):
        yield _step(step)
        if isinstance(step, Fork):
            yield from (_branch(index, branch) for index, branch in enumerate(step.branches, 1) if branch)
        if step.at.on_error is not None:
            yield _on_error(step)
    for _, *ways in conditions_of(flow):
        yield from (spot for spot in ways if spot is not None)
    if flow.on_error.how != "drop":
        yield _on_error_of(flow)


def conditions_of(flow: Flow) -> Iterator[tuple[Expression, Spot | None, Spot | None]]:
    """Every condition on which the way of a message depends, and what it is to be true or false."""
    for step in steps_of(flow):
        if step.at.when is not None:
            span = step.at.when.passage.span()
            yield step.at.when, Spot(span, "`when` is true", True), Spot(span, "`when` is false", True)
        if isinstance(step, Filter):
            span = step.condition.passage.span()
            yield step.condition, Spot(span, "`filter` keeps", True), Spot(span, "`filter` drops", True)
        if isinstance(step, Switch):
            yield from _cases(step)


def _cases(step: Switch) -> Iterator[tuple[Expression, Spot | None, Spot | None]]:
    """The cases; where the last condition is false, `else` is taken, or none of them."""
    conditions = [(number, case.when) for number, case in enumerate(step.cases, 1) if case.when is not None]
    for number, when in conditions:
        no = None
        if step.match == "first" and number == conditions[-1][0]:
            other = step.cases[-1]
            no = Spot(other.span if other.when is None else when.passage.span(), "", True)
            no = Spot(no.span, "`else` is taken" if other.when is None else "no case is taken", True)
        yield when, Spot(when.passage.span(), f"case {number} is taken", True), no


def _step(step: Step) -> Spot:
    return Spot(step.at.key_span, f"`{step.KEY}`")


def _branch(number: int, steps: Sequence[Step]) -> Spot:
    return Spot(steps[0].at.key_span, f"branch {number} of `fork`", True)


def _on_error(step: Step) -> Spot:
    return Spot(step.at.key_span, f"`on_error` of `{step.KEY}`", True)


def _on_error_of(flow: Flow) -> Spot:
    return Spot(flow.span.first_line(), f"`on_error` of the flow `{flow.name}`", True)


def _way_to(wanted: Step, steps: Sequence[Step]) -> list[Step]:
    """The steps around a step, from outside in, and itself."""
    for step in steps:
        if step is wanted:
            return [step]
        for inner in step.inner():
            if way := _way_to(wanted, inner):
                return [step, *way]
        if step.at.on_error and (way := _way_to(wanted, step.at.on_error.steps)):
            return way
    return []


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """What was reached of a file: of how many steps and branches, and what was not."""

    file: str
    steps: int
    branches: int
    missed: tuple[Spot, ...]

    @property
    def missed_steps(self) -> int:
        """Steps to which no test has come."""
        return sum(not spot.is_branch for spot in self.missed)

    @property
    def percent(self) -> int:
        """The part that was reached, rounded down: 100 is all of it."""
        return 100 * (self.steps + self.branches - len(self.missed)) // max(self.steps + self.branches, 1)


def by_file(coverage: Coverage) -> list[FileCoverage]:
    """What was reached, file by file."""
    reached = set(coverage.reached)
    for spot in coverage.spots.values():  # a branch of a `fork` is reached with its first step
        if spot.text.endswith("of `fork`"):
            steps = {key for key in reached if key[:2] == spot.key[:2]}
            reached |= {spot.key} if steps else set()
    files = sorted({spot.span.source.name for spot in coverage.spots.values()})
    return [_file(file, coverage, reached) for file in files]


def _file(file: str, coverage: Coverage, reached: set[Key]) -> FileCoverage:
    spots = [spot for spot in coverage.spots.values() if spot.span.source.name == file]
    missed = sorted(
        (spot for spot in spots if spot.key not in reached), key=lambda spot: (spot.span.start, spot.is_branch)
    )
    branches = sum(spot.is_branch for spot in spots)
    return FileCoverage(file, len(spots) - branches, branches, tuple(missed))
