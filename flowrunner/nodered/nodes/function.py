"""Turns the JavaScript of `function` into steps where that is certain, else into a stub in Python."""

import ast
from typing import Any

from flowrunner.nodered.joins import End, unite
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.nodes.change import delete, merged
from flowrunner.nodered.operators import compared, truth
from flowrunner.nodered.statements import CONTEXTS, STORED, Statements
from flowrunner.nodered.tokens import Word, read_words
from flowrunner.nodered.values import (
    Constant,
    Uncertain,
    Value,
    kind_of,
    source,
)
from flowrunner.nodered.walk import Way

_LONGEST = 1500
_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def function(way: Way, known: Known) -> Steps:
    """`function`: simple programs become steps. Raises Uncertain for the others, which become stubs."""
    node = way.node
    code = node.text("func")
    if len(code) > _LONGEST:
        raise Uncertain("JavaScript of this length")
    if node.text("initialize").strip() or node.text("finalize").strip():
        raise Uncertain("JavaScript that runs at the start or the end")
    if node.list("libs"):
        raise Uncertain("modules of npm")
    program = Program(read_words(code), way, known)
    program.run()
    way.done("JavaScript became steps: compare them")
    steps = program.finished()
    own = len(program.steps) or (1 if program.cases else 0)
    return [*way.named(merged(steps[:own])), *steps[own:]]


class Program(Statements):
    """Runs over the statements of a function, and gathers the steps that do the same."""

    def __init__(self, words: list[Word], way: Way, known: Known, variables: dict[str, Value] | None = None) -> None:
        super().__init__(words, way, known, variables)
        self.cases: list[tuple[ast.expr | None, Program]] = []

    def run(self) -> None:
        """Go over all statements up to a `return`."""
        while not self.is_at_end and self.outputs is None and not self.cases:
            if not self.take(";"):
                self.statement()

    def finished(self) -> Steps:
        """The steps, with those behind the outputs."""
        if self.cases:
            return [*self.steps, *self.branches()]
        found = [(port, known) for port, known in enumerate(self.outputs or []) if known is not None]
        if not found:
            return self.steps
        if len(found) == 1:
            return [*self.steps, *self.way.on(found[0][0], found[0][1])]
        branches = [steps for port, known in found if (steps := self.way.deeper().on(port, known))]
        return [*self.steps, *([Step("fork", branches)] if len(branches) > 1 else branches[0] if branches else [])]

    def branches(self) -> Steps:
        """The ways of an `if` that ends the function."""
        (condition, first), (_, second) = self.cases
        assert condition is not None  # the first is never the `else`
        if second.is_nothing:
            return [Step("filter", source(condition)), *first.finished()]
        if first.is_nothing:
            return [Step("filter", source(negated(condition))), *second.finished()]
        ends = [first.single, second.single]
        if all(end is not None for end in ends) and len({end[0] for end in ends if end}) == 1:
            ways = [End(condition, first.steps, ends[0][1]), End(None, second.steps, ends[1][1])]  # type: ignore[index]
            if united := unite(ways):
                return [united[0], *self.way.on(ends[0][0], united[1])]  # type: ignore[index]
        inner = [first, second]
        for one in inner:
            one.way = self.way.deeper()
        cases: list[dict[str, Any]] = [{"when": source(condition), "steps": first.finished() or [Step("stop")]}]
        last = second.finished()
        if last and not (len(last) == 1 and last[0].key == "stop"):
            is_switch = len(last) == 1 and last[0].key == "switch" and isinstance(last[0].value, list)
            cases += last[0].value if is_switch else [{"else": last}]
        return [Step("switch", cases)]

    @property
    def is_nothing(self) -> bool:
        """Whether it sends nothing."""
        return not self.cases and not any(self.outputs or [])

    @property
    def single(self) -> tuple[int, Known] | None:
        """The one output that it sends to, if it has no branches."""
        found = [(port, known) for port, known in enumerate(self.outputs or []) if known is not None]
        return found[0] if len(found) == 1 and not self.cases else None

    def statement(self) -> None:
        """One statement."""
        if self.take("var", "let", "const"):
            self.declaration()
        elif self.take("return"):
            self.outputs = self.returned()
        elif self.take("if"):
            self.condition()
        elif self.take("delete"):
            more, self.known = delete(self.message_path(), self.known)
            self.steps += more
        elif self.next in ("node", "console"):
            self.message_of_node()
        elif self.next in CONTEXTS:
            self.store()
        elif self.next == "msg":
            self.assignment()
        elif self.next in self.variables:
            self.reassignment()
        else:
            self.give_up()

    def block(self) -> list[Word]:
        """The words of `{ ... }`, or of one statement up to its `;`."""
        start = self.place
        depth = 0
        while not self.is_at_end:
            word = self.words[self.place]
            self.place += 1
            if word.kind != "sign":
                continue
            depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(word.text, 0)
            if depth == 0 and word.text in "};":
                break
        found = self.words[start : self.place]
        return found[1:-1] if found and found[0].text == "{" else found

    def inner(self, words: list[Word]) -> "Program":
        """The statements of a branch, run."""
        self.depth += 1
        if self.depth > 6:
            raise Uncertain("conditions so deep inside of each other")
        kept = {
            key: value for key, value in self.variables.items() if self.marks.get(key, self.changes) == self.changes
        }
        program = Program(words, self.way, self.known, kept)
        program.is_parsed = self.is_parsed
        program.depth = self.depth
        program.run()
        self.depth -= 1
        return program

    def condition(self) -> None:
        """`if (...) ... else ...`."""
        self.need("(")
        value = self.expression()
        self.need(")")
        condition = truth(value if kind_of(value) == "bool" else compared_to_nothing(value))
        first = self.inner(self.block())
        other: list[Word] = []
        if self.take("else"):
            other = self.chained()
        is_ended = first.outputs is not None or bool(first.cases)
        if is_ended:
            rest = [*other, *self.words[self.place :]]
            self.cases = [(condition, first), (None, self.inner(rest))]
            return
        second = self.inner(other)
        if second.outputs is not None or second.cases:
            rest = [*self.words[self.place :]]
            first = self.continued(first, rest)
            self.cases = [(condition, first), (None, second)]
            return
        if first.variables != self.variables or second.variables != self.variables:
            raise Uncertain("a variable that is set in a branch")
        united = unite([End(condition, first.steps, first.known), End(None, second.steps, second.known)])
        if united is None:
            raise Uncertain("a branch that does nothing")
        if first.is_parsed != second.is_parsed:
            raise Uncertain("a payload that is parsed in a branch")
        self.steps.append(united[0])
        self.known = united[1]
        self.is_parsed = first.is_parsed
        self.changes += 1

    def continued(self, first: "Program", rest: list[Word]) -> "Program":
        """A branch that goes on behind the `if`."""
        program = Program(
            rest,
            self.way,
            first.known,
            {
                key: value
                for key, value in first.variables.items()
                if first.marks.get(key, first.changes) == first.changes
            },
        )
        program.is_parsed = first.is_parsed
        program.depth = self.depth + 1
        program.run()
        program.steps = [*first.steps, *program.steps]
        return program

    def chained(self) -> list[Word]:
        """What stands behind `else`: a block, or another `if` with all that belongs to it."""
        if self.next != "if":
            return self.block()
        start = self.place
        self.take("if")
        while True:
            self.skip_brackets()
            self.block()
            if not self.take("else"):
                break
            if not self.take("if"):
                self.block()
                break
        return self.words[start : self.place]

    def skip_brackets(self) -> None:
        """Go over `( ... )`."""
        depth = 0
        while not self.is_at_end:
            word = self.words[self.place]
            self.place += 1
            if word.kind == "sign":
                depth += {"(": 1, ")": -1}.get(word.text, 0)
            if depth == 0:
                return


def compared_to_nothing(value: Value) -> Value:
    """A value as a condition: only texts, numbers and what is stored mean the same in both worlds."""
    if kind_of(value) in ("text", "number", "data", "any", STORED):
        return value
    return compared(value, ast.NotEq, Constant(None))


def negated(condition: ast.expr) -> ast.expr:
    """The opposite of a condition, as short as it can be."""
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return condition.operand
    if isinstance(condition, ast.Compare) and len(condition.ops) == 1 and type(condition.ops[0]) in _OPPOSITES:
        return ast.Compare(condition.left, [_OPPOSITES[type(condition.ops[0])]()], condition.comparators)
    return ast.UnaryOp(ast.Not(), condition)


TRANSLATORS = {"function": function}
