"""Turns a flow into the Python script that does the same: callbacks, and a function for the way of a message."""

import ast
import re
from collections.abc import Sequence
from typing import Any

from flowrunner.code import ORIGIN
from flowrunner.expressions import Expression, Scope
from flowrunner.read.flow import Flow
from flowrunner.scripts import doing_writers, memory_writers, payload_writers  # noqa: F401 - each notes its writers
from flowrunner.scripts.body import Frame, Lines, Way, block, broken, indented, names_read_first
from flowrunner.scripts.frame import ERROR, assemble
from flowrunner.scripts.parts import Parts
from flowrunner.scripts.python_words import double_quoted, literal, own_name
from flowrunner.scripts.refusals import REFUSED, cannot_eject
from flowrunner.scripts.writers import WRITERS
from flowrunner.step import ANY_NAME, Step, is_cut, line_of, trees_of, walk
from flowrunner.text import Span


def write_script(flow: Flow) -> str:
    """The script. Raises CannotEject for a flow with something in it that a short script would not do alike."""
    return assemble(ScriptWriter(flow))


class ScriptWriter(Parts):
    """Writes the functions of the script of one flow."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self.frame = Frame(frozenset({*flow.constants, "flow", "env"}))
        self.handlers: dict[int, tuple[str, list[str]]] = {}
        steps = [*walk(flow.steps), *walk(flow.on_error.steps)]
        self.has_copies = any(step.KEY in {"split", "fork", "call"} for step in steps)

    def write(self) -> tuple[str, list[str]]:
        """Write the functions for the way of a message; the name of the first one, and the values that it gets."""
        return self.function("handle", "One message goes through the steps of the flow.", self.flow.steps,
                             self.flow.scope, Way())  # fmt: skip

    def function(
        self, name: str, about: str, steps: Sequence[Step], scope: Scope, way: Way, first: Sequence[str] = ()
    ) -> tuple[str, list[str]]:
        """Write steps as a function; returns its name, and the names of the values that it gets."""
        own = self.free_name(name)
        self.functions.append(own)  # takes its place before those that it calls
        body = self.steps(steps, way)
        if "arrived" in names_read_first(body, ["arrived"]):
            body = ["arrived = payload  # for `on_error`", *body]
        given = [known for known in scope.names if known not in {*self.frame.globals, ANY_NAME}]
        body = [*self.own_constants(body), *body]
        renamed = [self.words.name(known) for known in given if known != "topic"]
        local = names_read_first(body, renamed)
        parameters = list(dict.fromkeys(["client", "topic", *first, *local]))
        head = f"def {own}({', '.join(parameters)}):"
        lines = [f'"""{about}"""', *(body or ["pass"])]
        self.functions[self.functions.index(own)] = "\n".join([head, *indented(lines)])
        return own, parameters

    def own_constants(self, body: Lines) -> Lines:
        """What a called flow knows under a name that means nothing, or something else, outside of it."""
        known = names_read_first(body, [self.words.name(name) for name in self.frame.constants])
        return [f"{own_name(name, self.taken)} = {literal(value)}"
                for name, value in self.frame.constants.items() if self.words.name(name) in known]  # fmt: skip

    def steps(self, steps: Sequence[Step], way: Way) -> Lines:
        """A list of steps, each below a comment with its line in the flow."""
        lines: Lines = []
        for index, step in enumerate(steps):
            if id(step) not in self.flow.scopes:  # no message reaches it
                return lines
            lines += [*([""] if lines else []), *comments_of(step)]
            scope = self.flow.scopes[id(step)]
            if self.is_cut(step):
                return [*lines, *self.cut(step, steps[index + 1 :], scope, way)]
            lines += self.step(step, scope, way)
        return [*lines, *way.last]

    def is_cut(self, step: Step) -> bool:
        """Whether what follows the step must be a function of its own."""
        return step.KEY == "split" or (step.KEY in {"switch", "filter"} and is_cut(step) and has_split(step))

    def cut(self, step: Step, rest: Sequence[Step], scope: Scope, way: Way) -> Lines:
        """A step that hands on several messages, and what follows as a function of its own."""
        if self.flow.on_error.how == "steps":
            self.handler(self.flow.on_error)  # which refuses it
        if step.at.on_error is not None or self.flow.on_error.how != "drop":
            raise self.refuse(step, f"`on_error` around `{step.KEY}`", "what follows would be inside of it")
        if way.end != "return":
            raise self.refuse(step, "a `split` in a flow that is called", "a function returns only once")
        behind = way
        if rest and id(rest[0]) in self.flow.scopes:
            about = "What follows for each of the messages."
            known = self.flow.scopes[id(rest[0])]
            name, parameters = self.function(f"after_{step.KEY}", about, rest, known, way)
            call = broken(f"{name}", parameters)
            behind = Way(way.end, (call,))
            if step.KEY == "split":
                behind = Way(way.end, (broken(self.need("attempt"), [name, *parameters]),))
        lines = self.split(step, behind) if step.KEY == "split" else self.work(step, scope, behind, is_cut=True)
        if step.at.when is None:
            return lines
        lines = block(self.condition(step.at.when), [*lines, *([way.end] if behind.last else [])])
        return [*lines, *(name for name in behind.last)]

    def split(self, step: Any, way: Way) -> Lines:
        """A message for each item; one that fails costs only itself."""
        items = f"{self.need('list_items')}({self.words.expression(step.items)})"
        used = names_read_first(way.last, ["index", "count"])
        payloads = "for index, payload in enumerate(items):" if "index" in used else "for payload in items:"
        counted = ["count = len(items)"] if "count" in used else []
        return [f"items = {items}", *counted, *block(payloads, list(way.last))]

    def step(self, step: Step, scope: Scope, way: Way) -> Lines:
        """A step, with its `when` and `on_error` around it."""
        lines = self.work(step, scope, Way(way.end))
        if step.at.when is not None:
            lines = block(self.condition(step.at.when), lines)
        handling = step.at.on_error or (self.flow.on_error if self.flow.on_error.how == "continue" else None)
        if handling is None or (handling.how == "drop" and self.flow.on_error.how == "drop"):
            return lines
        match handling.how:
            case "continue":
                handled = ["pass  # the message goes on unchanged"]
            case "drop":
                self.needs_import("sys")
                handled = ['print(f"dropped a message on {topic}: {problem}", file=sys.stderr)', way.end]
            case _:
                name, parameters = self.handler(handling)
                given = {"payload": "arrived", "error": ERROR}
                handled = [broken(name, [given.get(one, one) for one in parameters]), way.end]
        caught = "except Exception:" if handling.how == "continue" else "except Exception as problem:"
        return [*block("try:", lines), *block(caught, handled)]

    def handler(self, handling: Any) -> tuple[str, list[str]]:
        """The function with the steps of an `on_error`, and the names of the values that it gets."""
        place = handling.steps[0].at.key_span if handling.steps else self.flow.span
        if self.has_copies:
            why = "they get what arrived, which a part of a message does not know"
            raise cannot_eject("steps in `on_error` beside `split`, `fork` or `call`", why, place)
        self.check_error_fields(handling.steps, place)
        if id(handling) not in self.handlers:
            about = "What is done with a message on which a step fails."
            scope = self.flow.errors_scope
            self.handlers[id(handling)] = self.function("on_error", about, handling.steps, scope, Way())
        return self.handlers[id(handling)]

    def check_error_fields(self, steps: Sequence[Step], place: Span) -> None:
        """Refuse what a script does not know of an error."""
        for step in walk(steps):
            for part in [*step.parts(), *([step.at.when] if step.at.when else [])]:
                for tree in trees_of(part):
                    if fields_of_error(tree) - {"message"}:
                        raise cannot_eject("`on_error` that asks for more than `error.message`",
                                           "Python's errors know nothing of the lines of a flow", place)  # fmt: skip

    def work(self, step: Any, scope: Scope, way: Way, *, is_cut: bool = False) -> Lines:
        """What a step does. If it is cut, every way through it ends with what follows."""
        match step.KEY:
            case "filter":
                lines = block(f"if {negated(self.words.expression(step.condition))}:",
                              [*self.steps(step.otherwise, Way(way.end)), way.end])  # fmt: skip
                return [*without_double_end(lines, way.end), *way.last]
            case "switch":
                return self.switch(step, way, is_cut=is_cut)
            case "fork":
                return [self.branch(branch, number) for number, branch in enumerate(step.branches, 1)]
            case "retry":
                return self.retry(step, way)
            case "call":
                return self.call(step, scope, way)
        if step.KEY not in WRITERS:
            why = REFUSED.get(step.KEY, "it comes from a plug-in")
            raise self.refuse(step, f"`{step.KEY}`", why)
        return WRITERS[step.KEY](self, step, scope, way)

    def switch(self, step: Any, way: Way, *, is_cut: bool) -> Lines:
        """`if`, `elif` and `else`; with `match: all` an `if` for each case."""
        if step.match == "all":
            if is_cut:
                raise self.refuse(step, "`match: all` with a `split` inside", "each part would have to go on alone")
            return [line for case in step.cases
                    for line in block(self.condition(case.when), self.steps(case.steps, Way(way.end)))]  # fmt: skip
        lines: Lines = []
        for index, case in enumerate(step.cases):
            word = "else:" if case.when is None else ("el" if index else "") + self.condition(case.when)
            lines += block(word, self.steps(case.steps, way))
        if way.last and step.cases[-1].when is not None:
            lines += block("else:", list(way.last))
        return lines

    def branch(self, steps: Sequence[Step], number: int) -> str:
        """A call of a branch of a `fork`."""
        if not steps or id(steps[0]) not in self.flow.scopes:
            return "pass"
        about = f"Branch {number}; what it changes, the others do not see."
        name, parameters = self.function("branch", about, steps, self.flow.scopes[id(steps[0])], Way())
        return broken(self.need("attempt"), [name, *parameters])

    def retry(self, step: Any, way: Way) -> Lines:
        """A loop that is left when the steps did not fail; paho waits meanwhile."""
        if has_split(step):
            raise self.refuse(step, "`retry` with a `split` inside", "each part would have to be tried alone")
        self.needs_import("time")
        waited = f"time.sleep(min({step.backoff!r} * 2 ** (attempt_number - 1), {step.max_delay!r}))"
        again = [*block(f"if attempt_number == {step.attempts}:", ["raise"]), waited]
        tried = [*self.steps(step.steps, Way(way.end)), "break"]
        inside = [*block("try:", tried), *block("except Exception:", again)]
        slow = "# (no other message is handled while this waits)"
        return [slow, *block(f"for attempt_number in range(1, {step.attempts + 1}):", inside)]

    def call(self, step: Any, scope: Scope, way: Way) -> Lines:
        """A call of another flow's steps, which return the payload, or that the message was dropped."""
        self.uses_dropped = True
        given = dict(step.given)
        outside, known = self.frame, {name: value for name, value in step.constants.items() if name not in given}
        self.frame = Frame(frozenset({"flow", "env"}), known)
        about = f"The steps of the flow `{step.called.name}`; returns the payload."
        first = [self.words.name(name) for name in given]
        inner = Scope({**dict.fromkeys(ORIGIN, "any"), **dict.fromkeys(given, "any")})
        name, parameters = self.function(
            "flow_" + re.sub(r"\W", "_", step.called.name), about, step.called.steps, inner,
            Way("return DROPPED", ("return payload",)), first,
        )  # fmt: skip
        self.frame = outside
        values = {self.words.name(name): self.words.value(value, scope) for name, value in given.items()}
        arguments = [values.get(parameter, parameter) for parameter in parameters]
        return [f"payload = {broken(name, arguments)}", *block("if payload is DROPPED:", [way.end])]

    def condition(self, when: Expression) -> str:
        """`if` with a condition."""
        return f"if {self.words.expression(when)}:"


def has_split(step: Step) -> bool:
    """Whether there is a `split` on the way of the message inside of a step."""
    return step.KEY == "split" or (
        step.IS_ON_THE_WAY and any(has_split(one) for inner in step.inner() for one in inner)
    )


def fields_of_error(tree: Any) -> set[str]:
    """Which fields of `error` an expression reads; `*` for all of it."""
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_error(node.value)]
    whole = sum(_is_error(node) for node in ast.walk(tree)) > len(read)
    return {node.attr for node in read} | ({"*"} if whole else set())


def _is_error(node: Any) -> bool:
    return getattr(node, "id", "") == "error"


def comments_of(step: Step) -> Lines:
    """The line of the flow, as a comment."""
    return [f"# {line_of(step).removesuffix(':')}"]


def negated(condition: str) -> str:
    """The opposite of a condition."""
    match ast.parse(condition, mode="eval").body:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _OPPOSITES:
            compared = ast.Compare(left, [_OPPOSITES[type(operator)]()], [right])
            return double_quoted(ast.unparse(compared))
        case ast.Name() | ast.Call() | ast.Subscript():
            return f"not {condition}"
    return f"not ({condition})"


_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def without_double_end(lines: Lines, end: str) -> Lines:
    """Lines of which the last one does not stand there twice."""
    return lines[:-1] if len(lines) > 2 and lines[-1].strip() == lines[-2].strip() == end else lines
