"""Turns what was seen of a message into visits to steps: what each changed, and why it went no further."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from flowrunner.compile.function import name_steps
from flowrunner.expressions import Expression
from flowrunner.expressions.evaluate import UNKNOWN, evaluate
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.remembering import KeepingStep
from flowrunner.run.rehearsal import Look, Note, Trace
from flowrunner.step import Step
from flowrunner.waiting import WaitingStep


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands: how deep inside other steps, and on which way of the step around it.

    `way` (such as `else`) belongs to the first step of a list; `condition` is what was true then.
    """

    step: Step
    name: str
    depth: int = 0
    way: str = ""
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A value that became another one: of the field `payload.level`, or of a name. UNKNOWN: it was not there."""

    name: str
    old: Any
    new: Any


@dataclass(slots=True)
class Visit:
    """A message at a step. `ends` says in words why it went no further, empty if it did; `remark` what is odd about it.

    It `is_later` where the step lets a message go on that came to it before.
    """

    place: Place
    at: float
    before: Mapping[str, Any]
    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    facts: list[tuple[str, Any]] = field(default_factory=list)
    is_out: bool = False
    is_skipped: bool = False
    is_later: bool = False
    ends: str = ""
    remark: str = ""


def read_trace(trace: Trace) -> list[Visit]:
    """The visits of a trace, in the order in which they began."""
    return Reader(trace.flow).read(trace.seen)


class Reader:
    """Reads what is seen of the messages of a flow, all at once or bit by bit. If it `is_live`, more may come."""

    def __init__(self, flow: Flow, places: Mapping[str, Place] | None = None, *, is_live: bool = False) -> None:
        self.flow = flow
        self.places = places or {place.name: place for place in places_of(flow)}
        self.is_live = is_live
        self.visits: list[Visit] = []
        self.open: dict[tuple[str, int], Visit] = {}

    def read(self, seen: Iterable[Look | Note]) -> list[Visit]:
        """The visits so far, with what is seen now."""
        for one in seen:
            if isinstance(one, Look):
                self.look(one)
            elif self.visits:
                self.visits[-1].notes.append(one)
        for visit in self.visits:
            visit.ends = self.end_of(visit)
        return self.visits

    def look(self, look: Look) -> None:
        """Take what a message was at a step."""
        place = self.places[look.step]
        key = (look.step, look.origin)
        if look.where == "in":
            self.open[key] = visit = Visit(place, look.at, look.values, facts=self.facts(place.step, look.values))
            self.visits.append(visit)
            return
        found = self.open.get(key)
        if found is None:  # the step made the message itself: a `timeout` that was armed at the start
            self.visits.append(Visit(place, look.at, look.values, is_out=True, is_later=True))
        elif look.where == "skipped":
            found.is_skipped = True
        else:
            self.out(found, look)

    def out(self, visit: Visit, look: Look) -> None:
        """A step hands a message on; what was done by the steps inside it is shown there."""
        if next(visit.place.step.inner(), None) is not None:
            if visit.place.step.KEY == "switch" and self.visits[-1] is visit:
                visit.remark = "no case is true"
        elif visit.is_out or self.visits[-1] is not visit or look.at > visit.at:
            changes = changes_of(visit.before, look.values)
            self.visits.append(Visit(visit.place, look.at, visit.before, changes, is_out=True, is_later=True))
        else:
            visit.changes = changes_of(visit.before, look.values)
        visit.is_out = True

    def facts(self, step: Step, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """What the condition of a step reads: what stands in the flow, and its value."""
        conditions = [step.at.when, getattr(step, "condition", None)]
        conditions += [case.when for case in getattr(step, "cases", ())]
        known = {**self.flow.constants, **values, "env": self.flow.env}
        found = [fact for one in conditions if isinstance(one, Expression) for fact in facts_of(one, known)]
        return list(dict(found).items())

    def end_of(self, visit: Visit) -> str:
        """Why a message went no further."""
        if visit.is_out or any(note.kind in {"failed", "handled", "tried"} for note in visit.notes):
            return ""
        step = visit.place.step
        foretold = [note for note in visit.notes if note.kind == "foretold" and not note.about["goes_on"]]
        if foretold:
            return "the message ends here: only `--live` can tell what comes of it"
        match step.KEY:
            case "stop":
                return "the message ends here"
            case "filter":
                return "dropped: the condition is false"
            case "split":
                return "dropped: there is no item"
        if isinstance(step, KeepingStep):
            held = "held" if self.is_live else "held, and nothing came of it in time"
            return held if step.is_cut() else "dropped"
        inside = next(step.inner(), None) is not None
        if self.is_live and isinstance(step, WaitingStep):
            return "" if inside else "in work"
        return "" if inside else "dropped"


def places_of(flow: Flow) -> Iterator[Place]:
    """Where every step of a flow stands."""
    names = name_steps(flow)

    def places(steps: Sequence[Step], depth: int, way: str, condition: Expression | None) -> Iterator[Place]:
        for index, step in enumerate(steps):
            own = (way, condition) if index == 0 else ("", None)
            yield Place(step, names[id(step)], depth, *own)
            for number, inner in enumerate(step.inner()):
                yield from places(inner, depth + 1, *way_of(step, number))
            if step.at.on_error is not None:
                yield from places(step.at.on_error.steps, depth + 1, "on_error", None)

    yield from places(flow.steps, 0, "", None)
    yield from places(flow.on_error.steps, 1, "on_error of the flow", None)


def way_of(step: Step, number: int) -> tuple[str, Expression | None]:
    """What the list of steps with this number inside a step is called, and the condition on which it is run."""
    match step.KEY:
        case "switch":
            when = getattr(step, "cases")[number].when  # noqa: B009 - a `switch` has cases
            return ("else" if when is None else f"case {number + 1}", when)
        case "fork":
            return f"branch {number + 1}", None
        case "filter":
            return "else", None
        case "call":
            return f"flow {getattr(step, 'called').name}", None  # noqa: B009
    return "steps", None


def facts_of(expression: Expression, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an expression reads, as it stands in the flow, and its value."""
    bound = {
        name.id
        for loop in ast.walk(expression.tree)
        if isinstance(loop, ast.comprehension)
        for name in ast.walk(loop.target)
        if isinstance(name, ast.Name)
    }
    for node in reads_in(expression.tree):
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        if names & bound or names <= {*FUNCTIONS, "true", "false", "null", "now"}:
            continue
        value = evaluate(node, values)
        if value is not UNKNOWN:
            yield ast.unparse(node), value


def reads_in(node: ast.AST) -> Iterator[ast.expr]:
    """The largest parts that are a name, or a field or item of one."""
    if isinstance(node, ast.Call):
        inside = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        for part in [*inside, *node.args, *node.keywords]:
            yield from reads_in(part)
    elif isinstance(node, ast.expr) and is_path(node):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from reads_in(child)


def is_path(node: ast.expr) -> bool:
    """Whether a part is a name, or a field or item of one."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name)


def changes_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is different afterwards; of maps the fields, inside of each other."""
    names = [*before, *(name for name in after if name not in before)]
    found: list[Change] = []
    for name in names:
        if name in after:
            found += difference(name, before.get(name, UNKNOWN), after[name])
    return found


def difference(name: str, old: Any, new: Any) -> Iterator[Change]:
    """How a value changed."""
    if old is new or (type(old) is type(new) and old == new and repr(old) == repr(new)):
        return
    if isinstance(old, dict) and isinstance(new, dict) and (old.keys() & new.keys() or not old):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from difference(f"{name}.{key}", old.get(key, UNKNOWN), new.get(key, UNKNOWN))
    else:
        yield Change(name, old, new)
