"""Turns conditions into branches of one way: the step `switch`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowrunner.code import Block, Segment
from flowrunner.expressions import Scope
from flowrunner.options import Cases, Choice, option
from flowrunner.options.nested import Case
from flowrunner.step import Check, Step, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Step):
    """Take the first case whose condition is true; then the message goes on behind the `switch`.

    A case works on this very message: its changes stay, and what it drops is dropped. The last case may be `else`.
    With `match: all` every case whose condition is true is taken, one after the other.
    """

    KEY = "switch"
    IS_ON_THE_WAY = True
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - switch:
              - when: payload.temperature > 25
                steps:
                  - set: {level: warm}
              - when: payload.temperature < 5
                steps:
                  - set: {level: cold}
              - else:
                  - stop
          - publish: alerts/${room}
        tests:
          - given:
              - {topic: sensors/a, payload: {temperature: 30}}
              - {topic: sensors/b, payload: {temperature: 20}}
              - {topic: sensors/c, payload: {temperature: 0}}
            expect:
              - {topic: alerts/a, payload: {temperature: 30, level: warm}}
              - {topic: alerts/c, payload: {temperature: 0, level: cold}}
        """,
        """
        subscribe: in
        steps:
          - json
          - switch:
              match: all
              cases:
                - when: payload > 1
                  steps: [{publish: more/than/one}]
                - when: payload > 2
                  steps: [{publish: more/than/two}]
        tests:
          - given: {topic: in, payload: 3}
            expect: [{topic: more/than/one}, {topic: more/than/two}]
        """,
    )

    cases: tuple[Case, ...] = option(Cases(), "the cases, in the order in which they are tried", main=True)
    match: str = option(Choice(("first", "all")), "how many cases are taken", default="first")

    def inner(self) -> Iterator[Sequence[Step]]:
        for case in self.cases:
            yield case.steps

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if self.match == "all":
            return self.check_all(scope, check)
        ways: list[Scope | None] = []
        for case in self.cases:
            if case.when is not None:
                check.part(case.when, scope)
            ways.append(check.steps(case.steps, scope))
        if self.cases[-1].when is not None:
            ways.append(scope)
        return join(ways)

    def check_all(self, scope: Scope, check: Check) -> Scope | None:
        """With `match: all` each case finds the message as the one before left it."""
        current: Scope | None = scope
        for case in self.cases:
            if case.when is None:
                help = "leave out `match: all`, or give the case a `when`"
                message = "`else` has no meaning where every case is tried"
                check.report.say("wrong-value", message, case.span.first_line(), helps=(help,))
                return current
            if current is None:
                return None
            check.part(case.when, current)
            current = join([current, check.steps(case.steps, current)])
        return current

    def emit(self, to: Block) -> None:
        if self.match == "all":
            self.emit_all(to, list(self.cases), None)
        else:
            self.emit_first(to, list(self.cases), None)

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if self.match == "all":
            self.emit_all(to, list(self.cases), then)
        else:
            self.emit_first(to, list(self.cases), then)

    def emit_first(self, to: Block, cases: list[Case], then: Segment | None) -> None:
        """`if` ... `elif` ... `else`; with `then` every way ends by handing the message on."""
        if not cases:
            if then:
                to.call(then)
            return
        case, *others = cases
        if case.when is None:
            to.writer.write_steps(case.steps, to, then)
            return
        condition = to.writer.condition(to, case.when)
        taken, rest = to.inner(), to.inner()
        to.writer.write_steps(case.steps, taken, then)
        self.emit_first(rest, others, then)
        source = "if CONDITION:\n    TAKEN\nelse:\n    REST" if rest.statements else "if CONDITION:\n    TAKEN"
        to.run(source, CONDITION=condition, TAKEN=taken.filled(), REST=rest.statements)

    def emit_all(self, to: Block, cases: list[Case], then: Segment | None) -> None:
        """One `if` after the other; a case that is cut hands the message on to the cases that follow."""
        for index, case in enumerate(cases):
            assert case.when is not None  # the check refuses `else` here
            condition = to.writer.condition(to, case.when)
            taken = to.inner()
            to.scope = Scope(dict.fromkeys(to.scope.names, "any"))  # the case may change what the names hold
            behind = None
            if any(to.writer.is_cut(step) for step in case.steps):
                rest = cases[index + 1 :]
                behind = to.writer.segment(to, to.scope, lambda block, rest=rest: self.emit_all(block, rest, then))  # type: ignore[misc]
            to.writer.write_steps(case.steps, taken, behind)
            if behind is not None:
                taken.drop()
            to.run("if CONDITION:\n    TAKEN", CONDITION=condition, TAKEN=taken.filled())
            if behind is not None:
                to.call(behind)
                return
        if then:
            to.call(then)
