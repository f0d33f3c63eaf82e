"""Turns values into names for the steps that follow: the step `let`."""

from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions import Scope
from flowrunner.options import Names, option
from flowrunner.step import Check, Step
from flowrunner.text import Span
from flowrunner.values import Value, templates_of, value_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Let(Step):
    """Name values for later steps of this message.

    The names stand beside `payload` and `topic` in every expression that follows. Names of one `let` do not see each
    other; use two where one builds on the other.
    """

    KEY = "let"
    EXAMPLES = (
        """
        subscribe: power/+device
        steps:
          - json
          - let:
              watts: ${payload.volts * payload.amps}
          - filter: watts > 100
          - publish: {topic: "heavy/${device}", payload: "${watts}"}
        tests:
          - given: {topic: power/oven, payload: {volts: 230, amps: 2}}
            expect: {topic: heavy/oven, payload: 460}
        """,
    )

    names: tuple[tuple[str, Value], ...] = option(Names(), "name: value", only=True)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        own = {name for name, _ in self.names} - set(scope.names)
        for name, value in self.names:
            check.new_name(name, self.at.key_span)
            for template in templates_of(value):
                used = own & template.names
                if used:
                    check.report.add(_sibling(min(used), template.passage.span()))
                else:
                    check.part(template, scope)
        return self.after(scope)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(**{name: value_kind(value, scope) for name, value in self.names})

    def emit(self, to: Block) -> None:
        values = [to.value(value) for _, value in self.names]
        if len(values) == 1:
            to.run("NAME = VALUE", NAME=self.names[0][0], VALUE=values[0])
        else:
            to.assign([name for name, _ in self.names], values)


def _sibling(name: str, span: Span) -> Diagnostic:
    message = f"`{name}` is set in this very `let`, and known only after it"
    return Diagnostic("unknown-name", message, span, helps=("use two `let` steps, one after the other",))
