"""Turns a condition into a gate for messages: the step `filter`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowrunner.code import Block, Segment
from flowrunner.expressions import Expression, Scope
from flowrunner.options import ExpressionKind, Steps, option
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(Step):
    """Keep the message if the condition is true, else drop it.

    With `else`, those steps run for a message that is not kept, and then it ends.
    """

    KEY = "filter"
    IS_ON_THE_WAY = True
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - filter: payload.temperature > 25
          - publish: alerts/${room}
        tests:
          - name: warm
            given: {topic: sensors/attic, payload: {temperature: 25.5}}
            expect: {topic: alerts/attic, payload: {temperature: 25.5}}
          - name: exactly at the limit
            given: {topic: sensors/attic, payload: {temperature: 25}}
            expect: []
        """,
        """
        subscribe: door
        steps:
          - decode: utf-8
          - filter:
              if: payload in ["open", "closed"]
              else:
                - publish: {topic: door/strange}
          - publish: door/state
        tests:
          - given: [{topic: door, payload: open}, {topic: door, payload: ajar}]
            expect: [{topic: door/state, payload: open}, {topic: door/strange, payload: ajar}]
        """,
    )

    condition: Expression = option(ExpressionKind(), "what must be true", name="if", main=True)
    otherwise: tuple[Step, ...] = option(
        Steps(), "steps for a message that is not kept; then it ends", name="else", default=()
    )

    def inner(self) -> Iterator[Sequence[Step]]:
        if self.otherwise:
            yield self.otherwise

    def check(self, scope: Scope, check: Check) -> Scope | None:
        check.part(self.condition, scope)
        check.steps(self.otherwise, scope)
        return scope

    def emit(self, to: Block) -> None:
        condition = to.writer.condition(to, self.condition)
        block = to.inner()
        to.writer.write_steps(self.otherwise, block, None)
        block.drop()
        to.run("if not CONDITION:\n    OTHERWISE", CONDITION=condition, OTHERWISE=block.statements)

    def emit_then(self, to: Block, then: Segment | None) -> None:
        self.emit(to)
        if then is not None:
            to.call(then)
