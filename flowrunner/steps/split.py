"""Turns a list into one message per item: the step `split`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block, Segment
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope, kind_of
from flowrunner.fields import name_kind
from flowrunner.options import ExpressionKind, option
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Step):
    """Make one message of each item of a list; a map gives one message per value.

    Afterwards `index` (from 0) and `count` are names. An item on which a later step fails does not concern the others.
    An empty list gives no message.
    """

    KEY = "split"
    EXAMPLES = (
        """
        subscribe: batch
        steps:
          - json
          - split: payload.readings
          - publish: reading/${index + 1}/of/${count}
        tests:
          - given: {topic: batch, payload: {readings: [20, 21]}}
            expect: [{topic: reading/1/of/2, payload: 20}, {topic: reading/2/of/2, payload: 21}]
          - given: {topic: batch, payload: {readings: []}}
            expect: []
        """,
        """
        subscribe: lines
        steps:
          - decode: utf-8
          - split: payload.splitlines()
          - filter: payload
          - publish: line
        tests:
          - given: {topic: lines, payload: "a\\n\\nb"}
            expect: [{topic: line, payload: a}, {topic: line, payload: b}]
        """,
    )

    items: Expression = option(ExpressionKind(), "the list", name="value", main=True)

    def is_cut(self) -> bool:
        return True

    def check(self, scope: Scope, check: Check) -> Scope | None:
        check.part(self.items, scope)
        for name in ("index", "count"):
            check.new_name(name, self.at.key_span)
        return self.after(scope)

    def after(self, scope: Scope) -> Scope:
        kind = kind_of(self.items, scope)
        return scope.with_(payload="data" if kind in {"data", "text"} else "any", index="data", count="data")

    def emit(self, to: Block) -> None:
        to.run("_split_items = ITEMS(VALUE)", ITEMS=to.helper(list_items), VALUE=to.value(self.items))
        to.run("count = LEN(_split_items)", LEN=to.helper(len))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is None:
            return
        each = to.inner()
        each.run_apart(then)
        source = "for index, payload in ENUMERATE(_split_items):\n    EACH"
        to.run(source, ENUMERATE=to.helper(enumerate), EACH=each.statements)


def list_items(value: Any) -> list[Any]:
    """The items of a list, or the values of a map. Raises StepError for anything else."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    help = "put `- json` before this step" if isinstance(value, bytes | str) else ""
    raise StepError(f"only a list can be split, this is {name_kind(value)}", code="not-a-list", help=help)
