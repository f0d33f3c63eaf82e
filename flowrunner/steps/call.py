"""Turns the name of another flow into its steps, taken in at this place: the step `call`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowrunner.code import ORIGIN, Block, Segment
from flowrunner.diagnostics import Diagnostic, suggest
from flowrunner.expressions import Kind, Scope
from flowrunner.options import Called, FlowName, Names, option
from flowrunner.report import Report
from flowrunner.step import ANY_NAME, Check, Step, walk
from flowrunner.values import Value, templates_of, value_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Step):
    """Run the steps of another flow at this place, on this very message.

    Its changes stay, and what it drops is dropped, as in a case of `switch`. A flow that only others call needs no
    source. Its steps know `payload`, `topic` and the other parts of the message, its own `vars`, and what `with` gives
    (which stands in for `vars` of the same name); they do not know the names of this flow, nor does it get to know
    theirs. What is remembered by its steps belongs to this call. Of its keys only `steps` and `vars` take part: where a
    step fails that has no `on_error` of its own, the `on_error` here decides.
    """

    KEY = "call"
    IS_ON_THE_WAY = True
    IS_CALL = True
    EXAMPLES = (
        """
        flows:
          attic:
            subscribe: attic/climate
            steps:
              - json
              - call: {flow: judge, with: {room: attic, limit: 30}}
            tests:
              - given:
                  - {topic: attic/climate, payload: {temperature: 30}}
                  - {topic: attic/climate, payload: {temperature: 31}}
                expect: {topic: alerts/attic, payload: {temperature: 31, level: warm}}
          cellar:
            subscribe: cellar/climate
            steps:
              - json
              - call: {flow: judge, with: {room: cellar}}
              - publish: {topic: cellar/warm, payload: "${payload.level}"}
            tests:
              - given:
                  - {topic: cellar/climate, payload: {temperature: 21}}
                  - {topic: cellar/climate, payload: {temperature: 9}}
                expect: [{topic: alerts/cellar}, {topic: cellar/warm, payload: warm}]
          judge:
            vars: {limit: 20}
            steps:
              - filter: payload.temperature > limit
              - set: {level: warm}
              - publish: alerts/${room}
        """,
    )

    called: Called = option(FlowName(), "the name of the flow", name="flow", main=True)
    given: tuple[tuple[str, Value], ...] = option(
        Names(), "values for the steps of that flow: `name: value`", name="with", default=()
    )

    def inner(self) -> Iterator[Sequence[Step]]:
        yield self.called.steps

    @property
    def constants(self) -> Mapping[str, Any]:
        """The constants that the steps know and that `with` does not replace."""
        given = {name for name, _ in self.given}
        return {name: value for name, value in self.called.constants.items() if name not in given}

    def check(self, scope: Scope, check: Check) -> Scope | None:
        for _, value in self.given:
            for template in templates_of(value):
                check.part(template, scope)
        self.check_given(check)
        apart = Report()
        inside = replace(
            check, report=apart, errors=self.error_scope(check.errors), constants=tuple(self.called.constants)
        )
        behind = inside.steps(self.called.steps, self.inside(scope))
        check.report.extend([self.called_here(found) for found in apart.diagnostics])
        return None if behind is None else scope.with_(payload=behind.names["payload"])

    def inside(self, scope: Scope) -> Scope:
        """What the steps know."""
        names: dict[str, Kind] = {
            name: scope.names[name] for name in (*ORIGIN, "env", "flow", ANY_NAME) if name in scope.names
        }
        names |= dict.fromkeys(self.called.constants, "data")
        names |= {name: value_kind(value, scope) for name, value in self.given}
        why = "is a name of the flow that calls; hand it over: `with: {{{0}: ${{{0}}}}}`"
        return Scope(names, {name: f"`{name}` {why.format(name)}" for name in scope.names if name not in names})

    def error_scope(self, errors: Scope) -> Scope:
        """What the steps of an `on_error` in there know."""
        names: dict[str, Kind] = {
            name: errors.names[name] for name in (*ORIGIN, "env", "flow", "error") if name in errors.names
        }
        names |= dict.fromkeys(self.constants, "data")
        missing = {name: f"`{name}` is not handed over to `on_error`" for name in (*errors.names, *dict(self.given))}
        return Scope(names, {name: why for name, why in missing.items() if name not in names})

    def check_given(self, check: Check) -> None:
        """Report values that no step asks for: most likely the name is misspelt."""
        steps = list(walk(self.called.steps))
        parts = [part for step in steps for part in [*step.parts(), *([step.at.when] if step.at.when else [])]]
        read = frozenset[str]().union(*(part.names for part in parts))
        for name, _ in self.given:
            if name not in read:
                near = suggest(name, read - {*ORIGIN, "env", "flow"})
                helps = (f"did you mean `{near}`?" if near else "",)
                check.report.say(
                    "unknown-name", f"no step of `{self.called.name}` reads `{name}`", self.at.key_span, helps=helps
                )

    def called_here(self, found: Diagnostic) -> Diagnostic:
        """A mistake in the steps that comes from how they are called."""
        at = self.at.key_span
        return replace(found, notes=(*found.notes, f"called in {at.source.name}:{at.line}:{at.column}"))

    def emit(self, to: Block) -> None:
        """Never called: the steps are written with what follows."""
        raise AssertionError(self)

    def emit_then(self, to: Block, then: Segment | None) -> None:
        to.writer.write_call(self, to, then)
