"""Turns steps that wait into the functions that their workers call: to go on, to fail, to try."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING

from flowrunner.code import ORIGIN, Block, Segment
from flowrunner.compile.entry import names_in
from flowrunner.expressions import Scope
from flowrunner.records import dataclass
from flowrunner.snippets import Hole
from flowrunner.waiting import PASS, WaitingStep

if TYPE_CHECKING:
    from flowrunner.compile.function import FlowWriter, Part


@dataclass(frozen=True, slots=True)
class WaitPlan:
    """What the workers of a flow's waiting steps get when it is bound, each known by its global name.

    `hooks` are the functions by the attribute under which a worker calls them, `outside` the worker around another one
    (empty: none). A flow is serial if a message could overtake another one inside of it: then they enter one by one.
    """

    hooks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)
    is_serial: bool = False
    steps: Mapping[str, WaitingStep] = field(default_factory=dict, compare=False)  # whose workers they are


class WaitWriter:
    """Writes the waiting steps of one flow."""

    def __init__(self, writer: "FlowWriter") -> None:
        self.writer = writer
        self.hooks: dict[str, dict[str, str]] = {}
        self.outside: dict[str, str] = {}
        self.steps: dict[str, WaitingStep] = {}
        self.is_serial = False
        self.around = ""  # the worker that tries what is being written

    def plan(self) -> WaitPlan:
        """What was written."""
        return WaitPlan(self.hooks, self.outside, self.is_serial, self.steps)

    def write(self, step: WaitingStep, block: Block, then: Segment | None) -> None:
        """Write that a message goes into the line of a step, with the work for it, or with the error that stopped it.

        Everything goes through the line, also what the step has nothing to do for: nobody overtakes.
        """
        self.writer.guards.is_used = True
        worker = step.worker_name(block)
        self.outside[worker] = self.around
        self.steps[worker] = step
        if not self.around and not any(step.at is other.at for other in self.writer.flow.steps):
            self.is_serial = True
        hooks = self.hooks[worker] = {}
        names = [*then.parameters] if then is not None else []
        names += self.write_fail(step, block, then, hooks)
        if then is not None:
            hooks["resume"] = self.write_resume(block, then)
            if step.is_holding:
                emitted = step.emitted(block, then)
                hooks["emit"] = self.write_resume(block, emitted)
                names += [*emitted.parameters, *block.scope.names]
        if step.tried():
            names += self.write_attempt(step, worker, block, then, hooks)
        known = self.known(block)  # the others are those that the step sets
        self.write_take(step, worker, block, [name for name in names if name in known])

    def write_take(self, step: WaitingStep, worker: str, block: Block, names: Sequence[str]) -> None:
        """Write how the message gets into the line."""
        work = block.inner()
        step.emit(work)
        if step.at.when is not None:
            inside, work = work, block.inner()
            holes: dict[str, Hole] = {
                "WHEN": block.value(step.at.when),
                "WORK": inside.filled(),
                "SKIPPED": self.writer.taps.write_skipped(step, block).statements,
                "PASS": block.shared("pass", PASS),
            }
            work.run("if WHEN:\n    WORK\nelse:\n    SKIPPED\n    _job = PASS", **holes)
        block.run("_held = HELD", HELD=self.display(block, names))
        block.run(
            """
            try:
                WORK
            except EXCEPTION as _error:
                WORKER.stumble(_error, _held)
                return
            WORKER.take(_job, _held)
            return
            """,
            WORK=work.filled(),
            EXCEPTION=block.helper(Exception),
            WORKER=worker,
        )

    def known(self, block: Block) -> set[str]:
        """The names that have a value of their own for each message here."""
        names = {*block.scope.names, *ORIGIN, "_entry", *self.writer.guards.kept_names}
        return names - self.writer.calls.frame.globals

    def display(self, block: Block, names: Sequence[str]) -> ast.expr:
        """A display of what is needed of a message later."""
        held = dict.fromkeys(["_origin", *names])
        return block.display(None, [(name, block.name(name)) for name in held])

    def write_resume(self, block: Block, then: Segment) -> str:
        """Write how a message goes on; what fails behind the step is reported. Returns the name of the function."""
        inner = self.held_block(block)
        work = inner.inner()
        self.unpack(work, then.parameters)
        work.run("CALL", CALL=then.call(block.span))
        inner.statements += self.writer.guards.failing_apart(work)
        return self.add(inner, ["_held"])

    def write_fail(self, step: WaitingStep, block: Block, then: Segment | None, hooks: dict[str, str]) -> Sequence[str]:
        """Write what becomes of a message on which the step fails; returns the names that this needs.

        The error is raised here once more, so that it has a place in the file like any other.
        """
        guards = self.writer.guards
        own = guards.own(step)
        guard = replace(own, is_cut=True, then=then) if own is not None else guards.around
        inner = self.held_block(block)
        raised = inner.inner()
        raised.run("raise _error")
        if guard is None:
            handled = inner.inner()
            handled.run("_failed(flow, _error, _origin)")
            handle = handled.statements
        else:
            handle = guards.except_body(guard, raised)
        names = sorted(names_in(handle) & self.known(block))
        work = inner.inner()
        self.unpack(work, names)
        work.statements += guards.tried(raised, handle)
        inner.statements += guards.failing_apart(work)
        hooks["fail"] = self.add(inner, ["_held", "_error"])
        return names

    def write_attempt(
        self, step: WaitingStep, worker: str, block: Block, then: Segment | None, hooks: dict[str, str]
    ) -> Sequence[str]:
        """Write how the steps inside are run once; returns the names that they need.

        What fails in them is noted by the worker, and so is what comes out of them.
        """
        guards = self.writer.guards
        behind = list(then.parameters) if then is not None else []

        def succeed(inner: Block) -> None:
            inner.run("WORKER.succeed(HELD)", WORKER=worker, HELD=self.display(inner, behind))

        def run(inner: Block) -> None:
            self.writer.write_steps(step.tried(), inner, success)

        success: Part | None = None
        if then is not None:
            own = [name for name in behind if not name.startswith("_")]
            success = self.writer.segment(block, Scope(dict.fromkeys(own, "any")), succeed)
        with self.inside(worker), guards.retried(worker):
            tried = self.writer.segment(block, block.scope, run)
        inner = self.held_block(block)
        work = inner.inner()
        self.unpack(work, tried.parameters)
        work.run("CALL", CALL=tried.call(block.span))
        noted = inner.inner()
        noted.run("WORKER.note(_error)", WORKER=worker)
        inner.statements += guards.tried(work, noted.statements)
        hooks["attempt"] = self.add(inner, ["_held"])
        return tried.parameters

    @contextmanager
    def inside(self, worker: str) -> Iterator[None]:
        """While the steps are written that a worker tries."""
        outside, self.around = self.around, worker
        yield
        self.around = outside

    def held_block(self, block: Block) -> Block:
        """The beginning of a function that gets a held message."""
        inner = Block(self.writer, block.scope, block.span)
        inner.run("_origin = _held['_origin']")
        return inner

    def unpack(self, block: Block, names: Sequence[str]) -> None:
        """Set names to what the held message has under them."""
        mine = [name for name in names if name != "_origin"]
        if mine:
            block.unpack(mine)

    def add(self, block: Block, parameters: list[str]) -> str:
        """The name of the function with these statements."""
        return self.writer.add_part(block, Scope({}), parameters).name
