"""Turns one message into copies that go their own ways: the step `fork`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.expressions import Scope
from flowrunner.options import StepLists, option
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(Step):
    """Send copies of the message through several lists of steps, in the order written.

    What one list changes, drops or fails on does not concern the others; afterwards the message goes on unchanged.
    """

    KEY = "fork"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - fork:
              - - map: payload.temperature
                - publish: temperature/${room}
              - - map: payload.humidity
                - publish: humidity/${room}
          - publish: all/${room}
        tests:
          - name: a branch that fails does not concern the others
            given: {topic: sensors/attic, payload: {humidity: 40}}
            expect:
              - {topic: humidity/attic, payload: 40}
              - {topic: all/attic, payload: {humidity: 40}}
        """,
    )

    branches: tuple[tuple[Step, ...], ...] = option(StepLists(), "the lists of steps", only=True)

    def inner(self) -> Iterator[Sequence[Step]]:
        yield from self.branches

    def check(self, scope: Scope, check: Check) -> Scope | None:
        for branch in self.branches:
            check.steps(branch, scope)
        return scope

    def emit(self, to: Block) -> None:
        for branch in self.branches:
            to.run_apart(to.writer.branch(to, branch))
