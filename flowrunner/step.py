"""Turns one entry of a list of steps into what can be checked and compiled: the base of every step."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, fields, replace
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, ClassVar

from flowrunner.code import Block, Host, Segment
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Kind, Scope, Template, check
from flowrunner.expressions.places import span_of
from flowrunner.options import Option, options_of, parts_of
from flowrunner.options.nested import Handling
from flowrunner.records import dataclass
from flowrunner.report import Report
from flowrunner.text import Span

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a step stands, and the keys beside its own: `id`, `when`, `on_error`."""

    span: Span
    key_span: Span
    id: str = ""
    when: Expression | None = None
    on_error: Handling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(ABC):
    """A step of a flow.

    A subclass is a whole step: its `KEY` in YAML, its docstring as prose, its fields as options (see
    `flowrunner.options.option`), `EXAMPLES` (flow files with tests), and how it compiles (`emit`).
    """

    KEY: ClassVar[str]
    EXAMPLES: ClassVar[tuple[str, ...]] = ()
    #: Whether the steps inside work on this very message (`switch` yes), or on copies of it (`fork`).
    IS_ON_THE_WAY: ClassVar[bool] = False
    #: Whether the steps inside are those of another flow (`call`), with names of their own.
    IS_CALL: ClassVar[bool] = False
    #: Whether the step asks or changes the world outside: in a test it is not done, but answered by `mocks:`.
    IS_OUTSIDE: ClassVar[bool] = False
    #: Whether what the step remembers can be kept where all processes of a group find it (`state: redis://...`): then
    #: it has `remote_job` and the like.
    CAN_BE_SHARED: ClassVar[bool] = False
    #: Whether the step writes to a file, which only one process may do.
    WRITES_FILES: ClassVar[bool] = False

    at: Placement

    @classmethod
    def prose(cls) -> str:
        """What the step does, in full."""
        return cleandoc(cls.__doc__ or "")

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The options in the order of their declaration."""
        return options_of(cls)

    def parts(self) -> Iterator[Expression | Template]:
        """Every expression and template of the options (not those of nested steps)."""
        for known in fields(self):
            if known.name != "at":
                yield from parts_of(getattr(self, known.name))

    def inner(self) -> Iterator[Sequence["Step"]]:
        """Every list of steps inside this one."""
        return iter(())

    def check(self, scope: Scope, check: "Check") -> Scope | None:
        """Report what is wrong with the step where these names are known.

        Returns what is known behind the step, or None if no message comes out of it.
        """
        for part in self.parts():
            check.part(part, scope)
        return self.after(scope)

    def after(self, scope: Scope) -> Scope:
        """What is known behind the step; for most the same as before."""
        return scope

    @abstractmethod
    def emit(self, to: Block) -> None:
        """Write the step's work. It changes the payload last, so that a failure leaves the message as it was."""

    def emit_with(self, following: "Step", to: Block, behind: Block) -> bool:
        """Write the work of this step and of the one right behind it as one, in `to`, if that is less; true if it was.

        `behind` is an empty block with the place and the scope of the other one. It must all be, and fail, as if they
        stood there one by one.
        """
        return False

    def is_cut(self) -> bool:
        """Whether what follows runs later or several times; then `emit_then` says how it is called."""
        return False

    def emit_then(self, to: Block, then: Segment | None) -> None:
        """Write how the message goes on, where this is not simply the next line: behind a step that is cut.

        A step that only holds a cut one (`switch` with a `split` in it) writes all of itself here, and hands the
        message on to `then` at the end of every way; None means that nothing follows.
        """
        if then is not None:
            to.call(then)

    def remote_job(self, to: Block) -> ast.expr:
        """What Redis gets of a message, where the memory of the step is there: a tuple of texts."""
        raise NotImplementedError(self.KEY)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        """The object that asks Redis, for this version of the flow; `place` is where the memory is."""
        raise NotImplementedError(self.KEY)

    def remote_emitted(self, to: Block, then: Segment) -> Segment:
        """Where a message goes on that Redis held."""
        return then

    def memory(self) -> str:
        """What of its flow's memory this step uses, such as `state openings`; empty for most."""
        return ""

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        """An exception of this step in words, with the local values it met; None if it has none of its own."""
        return error if isinstance(error, StepError) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenStep(Step):
    """Stands for a step that holds a mistake, so that the steps behind it are checked all the same."""

    KEY = "broken"

    def after(self, scope: Scope) -> Scope:
        """What it would have named is unknown: names that nobody knows are not reported behind it."""
        return Scope({**scope.names, "payload": "any", ANY_NAME: "any"}, scope.missing)

    def emit(self, to: Block) -> None:
        """Never called: a flow with an error is not compiled."""
        raise AssertionError(self)


ANY_NAME = "*"  # in a scope: there may be more names than these


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """All steps of a list, each before those inside it."""
    for step in steps:
        yield step
        for inner in step.inner():
            yield from walk(inner)
        if step.at.on_error:
            yield from walk(step.at.on_error.steps)


def is_cut(step: Step) -> bool:
    """Whether the step, or one inside it on the way of the same message, is cut."""
    if step.is_cut() or step.IS_CALL:
        return True
    return step.IS_ON_THE_WAY and any(is_cut(nested) for branch in step.inner() for nested in branch)


def line_of(step: Step) -> str:
    """The line of the file in which a step's key stands, from there to the end of the step, without a comment."""
    begin, whole = step.at.key_span, step.at.span
    text = begin.source.span(begin.start, max(begin.end, whole.end)).first_line().text
    text = text.partition("  #")[0].rstrip()
    while text[-1:] in _CLOSING and text.count(text[-1]) > text.count(_CLOSING[text[-1]]):
        text = text[:-1].rstrip()
    return text


_CLOSING = {"]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Check:
    """A walk through the steps of a flow with what is known at each place; what is wrong goes into the report.

    `errors` is what is known inside of `on_error`; `env` are the names of the environment that may be read;
    `constants` those of `vars`; `continues` is whether a message that fails goes on behind the step (`on_error:
    continue` of the flow); `scopes` gathers what is known before each step, by its id().
    """

    report: Report
    errors: Scope
    env: Collection[str] = ()
    constants: Collection[str] = ()
    continues: bool = False
    scopes: dict[int, Scope] = field(default_factory=dict)

    def steps(self, steps: Sequence[Step], scope: Scope | None) -> Scope | None:
        """Check a list of steps; returns what is known behind it, None if no message comes out of it."""
        for step in steps:
            if scope is None:
                self.report.add(_unreachable(step))
                return None
            scope = self.step(step, scope)
        return scope

    def step(self, step: Step, scope: Scope) -> Scope | None:
        """Check a step with the keys beside it."""
        at = step.at
        self.scopes[id(step)] = scope
        if at.when:
            self.part(at.when, scope)
        apart = replace(self, continues=False) if self.continues else self
        if at.on_error:
            apart.steps(at.on_error.steps, self.errors)
        behind = step.check(scope, apart if at.on_error else self)
        if at.on_error.how == "continue" if at.on_error else self.continues:
            return join([scope, behind], f"is not set where `{step.KEY}` fails, because of `on_error: continue`")
        return behind if at.when is None else join([scope, behind], "is not set where `when` is false")

    def part(self, part: Expression | Template, scope: Scope) -> None:
        """Check the names and kinds of one expression or template."""
        found = check(part, scope)
        if ANY_NAME in scope.names:
            found = [diagnostic for diagnostic in found if diagnostic.code != "unknown-name"]
        self.report.extend(found)
        if "env" in part.names:
            self.report.extend(list(unknown_env(part, self.env)))

    def new_name(self, name: str, span: Span) -> None:
        """Report a name that a step would set although it is a constant."""
        if name in self.constants:
            message = f"`{name}` is a constant of `vars` and cannot be set"
            self.report.say("reserved-name", message, span, helps=("choose another name",))


def unknown_env(part: Expression | Template, known: Collection[str]) -> Iterator[Diagnostic]:
    """A diagnostic for every `env.NAME` that flows may not read, or that is not set."""
    for tree in trees_of(part):
        for found in ast.walk(tree):
            match found:
                case ast.Attribute(value=ast.Name(id="env"), attr=name) if name not in known:
                    help = f"list it in `flowrunner.yaml`: `env: [{name}]`, and set it before flowrunner starts"
                    message = f"`env.{name}` is not there"
                    yield Diagnostic("unknown-env", message, span_of(found, part.passage.source), helps=(help,))


def trees_of(part: Expression | Template) -> Iterator[ast.expr]:
    """The expressions of an expression (itself) or of a template (its holes)."""
    if isinstance(part, Expression):
        yield part.tree
    else:
        for hole in part.holes:
            yield hole.expression.tree


def _unreachable(step: Step) -> Diagnostic:
    message = f"no message reaches `{step.KEY}`: the step before ends every one"
    return Diagnostic("unreachable-step", message, step.at.key_span, severity="warning")


def join(scopes: Sequence[Scope | None], why: str = "is not set on every way to this step") -> Scope | None:
    """What is known where several ways meet: the names that every way has. None is a way on which nothing comes.

    `why` says of a name that only some ways have what is the matter with it.
    """
    ways = [scope for scope in scopes if scope is not None]
    if not ways:
        return None
    names: dict[str, Kind] = {}
    missing: dict[str, str] = {}
    for way in ways:
        missing |= way.missing
        for name in way.names:
            if all(name in other.names for other in ways):
                names[name] = wider([other.names[name] for other in ways])
            else:
                missing[name] = f"`{name}` {why}"
    if any(ANY_NAME in way.names for way in ways):
        names[ANY_NAME] = "any"
    return Scope(names, missing)


def wider(kinds: Sequence[Kind]) -> Kind:
    """The kind that covers all of these."""
    if len(set(kinds)) == 1:
        return kinds[0]
    return "data" if set(kinds) <= {"text", "data"} else "any"
