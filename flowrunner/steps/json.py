"""Turns a payload that holds JSON into its value: the step `json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.jsons import explain_json, loads
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Json(Step):
    """Parse the payload as JSON, from bytes or from text.

    Afterwards `payload` is a map, list, text, number, bool or null. What is not JSON is a step error.
    """

    KEY = "json"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - publish: {topic: "temperature/${room}", payload: "${payload.temperature}"}
        tests:
          - name: a field of the payload
            given: {topic: sensors/kitchen, payload: {temperature: 21.5}}
            expect: {topic: temperature/kitchen, payload: 21.5}
          - name: what is not JSON goes no further
            given: {topic: sensors/kitchen, payload: "21,5"}
            expect: []
        """,
    )

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="data")

    def emit(self, to: Block) -> None:
        to.run("payload = LOADS(payload)", LOADS=to.helper(loads))

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        return explain_json(error, values.get("payload"))
