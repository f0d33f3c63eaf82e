"""Turns a number into twice of it: the step `double`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Double(Step):
    """Make the payload twice as large."""

    KEY = "double"
    EXAMPLES = (
        """
        subscribe: numbers
        steps:
          - json
          - double
          - publish: doubled
        tests:
          - given: [{topic: numbers, payload: 21}, {topic: numbers, payload: {}}]
            expect: {topic: doubled, payload: 42}
        """,
    )

    def emit(self, to: Block) -> None:
        to.run("payload = payload + payload")

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:  # noqa: ARG002
        if isinstance(error, TypeError):
            return StepError("only a number can be doubled", code="not-a-number")
        return None
