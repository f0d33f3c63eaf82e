"""Turns a text into the named groups of a regular expression: the step `extract`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope
from flowrunner.expressions.texts import Pattern
from flowrunner.fields import name_kind, set_field
from flowrunner.options import ExpressionKind, FieldPath, PatternKind, option
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract(Step):
    r"""Take a text apart with a regular expression.

    Its named groups, `(?P<name>...)`, become a map: the payload, or with `as` a field of it. The pattern must match the
    whole text, else that is a step error. The expressions are those of RE2: no look-around and no back-references, so
    no text can make one run without end.
    """

    KEY = "extract"
    EXAMPLES = (
        r"""
        subscribe: serial
        steps:
          - decode: utf-8
          - extract: {pattern: 'T=(?P<temperature>-?[0-9.]+);H=(?P<humidity>\d+)'}
          - convert: {temperature: float, humidity: int}
          - publish: climate
        tests:
          - given: [{topic: serial, payload: T=21.5;H=40}, {topic: serial, payload: garbage}]
            expect: {topic: climate, payload: {temperature: 21.5, humidity: 40}}
        """,
    )

    source: Expression | None = option(ExpressionKind(), "the text; without it the payload", name="from", default=None)
    pattern: Pattern = option(PatternKind(), "the regular expression, with named groups")
    into: tuple[str, ...] = option(
        FieldPath(), "the field for the groups; without it the payload", name="as", default=()
    )

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if self.source is None and scope.names["payload"] == "bytes":
            help = "put `- decode: utf-8` before this step"
            check.report.say("bytes-payload", "the payload is still bytes here", self.at.key_span, helps=(help,))
        for part in self.parts():
            check.part(part, scope)
        return self.after(scope)

    def after(self, scope: Scope) -> Scope:
        return scope if self.into else scope.with_(payload="data")

    def emit(self, to: Block) -> None:
        source = to.value(self.source) if self.source else to.name("payload")
        holes = {"EXTRACT": to.helper(extract), "PATTERN": to.constant(self.pattern), "TEXT": source}
        found = to.expression("EXTRACT(PATTERN, TEXT)", **holes)
        if self.into:
            holes = {"SET": to.helper(set_field), "PATH": to.constant(self.into), "FOUND": found}
            found = to.expression("SET(payload, PATH, FOUND)", **holes)
        to.run("payload = FOUND", FOUND=found)


def extract(pattern: Pattern, text: Any) -> dict[str, Any]:
    """The named groups. Raises StepError where the text does not match as a whole, or is no text."""
    if not isinstance(text, str):
        help = "put `- decode: utf-8` before this step" if isinstance(text, bytes) else ""
        raise StepError(f"only a text can be taken apart, this is {name_kind(text)}", code="not-text", help=help)
    groups = pattern.fullmatch(text)
    if groups is None:
        raise StepError("the text does not match the pattern as a whole", code="no-match")
    return groups
