"""Turns `on_error` into `try` and `except` around the code of steps."""

import ast
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from flowrunner.code import ORIGIN, Block, Segment
from flowrunner.compile.entry import names_in, write_levels
from flowrunner.expressions import Expression, Scope
from flowrunner.options.nested import Handling
from flowrunner.records import dataclass
from flowrunner.step import Step

if TYPE_CHECKING:
    from flowrunner.compile.function import FlowWriter, Part


@dataclass(frozen=True, slots=True)
class Guard:
    """What happens where a step fails.

    With `continue` the message goes on with the next line, or with `then` behind a step that is cut (None: it ends).
    `kept` are the names that get back what they were before the step, each with the name that kept it. Inside of steps
    that are tried, `worker` notes the failure, and may try again.
    """

    handling: Handling
    is_cut: bool = False
    then: Segment | None = None
    kept: tuple[tuple[str, str], ...] = ()
    worker: str = ""


@dataclass(frozen=True, slots=True)
class _Around:
    """What is around the steps that are being written.

    `guard` is None also where its `try` stands around them already; `copies` is for steps that work on a copy of the
    message; `default` is for every step without an `on_error` of its own.
    """

    guard: Guard | None = None
    copies: Guard | None = None
    default: Handling | None = None


class Guards:
    """Writes the error handling of one flow.

    A step is guarded by its own `on_error`, else by that of the nearest step around it, else by that of the flow;
    `continue` of the flow is meant for each of its steps. What comes behind a step is never inside its `try`: a later
    failure is the later step's. A copy of the message (a branch of a `fork`) that fails ends, also with `continue`.
    """

    def __init__(self, writer: "FlowWriter") -> None:
        self.writer = writer
        self.is_used = False  # whether any function needs `_origin`, what arrived
        self.kept_names: list[str] = []
        self.handlers: dict[int, Part] = {}
        handling = writer.flow.on_error
        outermost = Guard(handling) if handling.how == "steps" else None
        self.here = _Around(outermost, outermost, handling if handling.how == "continue" else None)

    @property
    def around(self) -> Guard | None:
        """The guard that a step without an own one has here; None also where a `try` stands around it already."""
        return self.here.guard

    @contextmanager
    def entered(self, around: _Around) -> Iterator[None]:
        """While something is written that has this around it."""
        outside, self.here = self.here, around
        yield
        self.here = outside

    @contextmanager
    def inside(self, step: Step, own: Guard | None, *, is_inline: bool) -> Iterator[None]:
        """While the steps inside a step are written, which has a guard of its own or None.

        Inline, the `try` stands around all of them; else each is guarded by itself, because it may call what follows.
        """
        here = self.here
        if own is not None:
            default = None if step.at.on_error else here.default
            here = _Around(own, Guard(own.handling) if own.handling.how == "steps" else None, default)
        with self.entered(replace(here, guard=None) if is_inline else here):
            yield

    @contextmanager
    def copy(self) -> Iterator[None]:
        """While a branch with its own copy of the message is written."""
        with self.entered(replace(self.here, guard=self.here.copies)):
            yield

    @contextmanager
    def retried(self, worker: str) -> Iterator[None]:
        """While steps are written whose failures a worker notes."""
        guard = Guard(Handling("retry"), worker=worker)
        with self.entered(_Around(guard, guard)):
            yield

    def is_own(self, step: Step) -> bool:
        """Whether a step has a guard of its own here."""
        return step.at.on_error is not None or self.here.default is not None

    def own(self, step: Step) -> Guard | None:
        """The guard that a step has by its own `on_error`, or by a flow's `continue`."""
        handling = step.at.on_error or self.here.default
        return None if handling is None else Guard(handling)

    def own_of_cut(self, step: Step, block: Block, then: Segment | None) -> Guard | None:
        """The same for a step that is cut; what the message is before it is kept where steps inside may change it."""
        guard = self.own(step)
        if guard is None:
            return None
        names = then.parameters if then is not None and next(step.inner(), None) is not None else ()
        mine = [name for name in names if name not in _UNCHANGED and not name.startswith("_")]
        return replace(self.keeping(guard, block, mine), is_cut=True, then=then)

    def keeping(self, guard: Guard, block: Block, names: Collection[str]) -> Guard:
        """The guard of a step with steps inside; with `continue` these names become again what they are now."""
        if guard.handling.how != "continue":
            return guard
        kept: list[tuple[str, str]] = []
        for name in names:
            known = f"_kept_{len(self.kept_names) + 1}_{name}"
            block.run("KEPT = NAME", KEPT=known, NAME=block.name(name))
            self.kept_names.append(known)
            kept.append((name, known))
        return replace(guard, kept=tuple(kept))

    def wrap(self, guard: Guard | None, block: Block) -> list[ast.stmt]:
        """The statements of a block, inside `try` if there is a guard."""
        if guard is None or not block.statements:
            return block.statements
        self.is_used = True
        return self.tried(block, self.except_body(guard, block))

    def tried(self, block: Block, handle: list[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block inside `try`, and what is done when one fails."""
        outside = block.inner()
        source = "try:\n    WORK\nexcept EXCEPTION as _error:\n    HANDLE"
        outside.run(source, WORK=block.filled(), HANDLE=handle, EXCEPTION=block.helper(Exception))
        return outside.statements

    def except_body(self, guard: Guard, block: Block) -> list[ast.stmt]:
        """What stands below `except`."""
        body = block.inner()
        match guard.handling.how:
            case "drop":
                body.run("_failed(flow, _error, _origin)\nreturn")
            case "retry":
                body.run("WORKER.note(_error)\nreturn", WORKER=guard.worker)
            case "continue":
                body.run("_handled(flow, _error)")
                for name, kept in guard.kept:
                    body.run("NAME = KEPT", NAME=name, KEPT=block.name(kept))
                if guard.then is not None:
                    body.call(guard.then)
                elif guard.is_cut:
                    body.drop()
            case _:
                body.run("_handled(flow, _error)")
                body.call(self.handler(guard.handling, block))
        return body.statements

    def failing_apart(self, block: Block) -> list[ast.stmt]:
        """The statements of a block; where they fail, that is reported, and concerns nothing else."""
        self.is_used = True
        report = block.inner()
        report.run("_failed(flow, _error, _origin)")
        return self.tried(block, report.statements)

    def handler(self, handling: Handling, block: Block) -> "Part":
        """The function that runs the steps of an `on_error`, on what arrived. A failure in it is reported, once."""
        if id(handling) not in self.handlers:
            frame = self.writer.calls.frame_of(handling)
            span = handling.steps[0].at.key_span if handling.steps else block.span
            with self.entered(_Around()), self.writer.calls.inside(frame):
                steps = Block(self.writer, frame.errors, span)
                self.writer.write_steps(handling.steps, steps, None)
                inner = Block(self.writer, frame.errors, span)
                inner.run("error = _describe(_error)")
                inner.run(f"({', '.join(ORIGIN)}) = _origin")
                used = names_in(steps.statements)
                write_levels(self.writer.flow, inner, used - frame.constants.keys())
                for name, value in frame.constants.items():
                    if name in used:
                        inner.run("NAME = VALUE", NAME=name, VALUE=inner.constant(value))
                inner.statements += self.failing_apart(steps)
                first = ["_error", "_origin"]
                self.handlers[id(handling)] = self.writer.add_part(inner, Scope({}), first, also=["_entry"])
        return self.handlers[id(handling)]

    def condition(self, block: Block, guard: Guard | None, when: Expression) -> ast.expr:
        """A condition on which the way of the message depends; where it is guarded, it is evaluated beforehand."""
        if guard is None:
            return block.value(when)
        inner = block.inner()
        inner.run("_when = WHEN", WHEN=block.value(when))
        block.statements += self.wrap(guard, inner)
        return block.name("_when")


_UNCHANGED = {name for name in ORIGIN if name != "payload"}
