"""Turns the payload into a new one: the step `map`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.expressions import Expression, Scope, kind_of
from flowrunner.options import ExpressionKind, Kind, Place, ValueKind, option
from flowrunner.read.nodes import List, Node
from flowrunner.read.nodes import Map as MapNode
from flowrunner.read.yaml_mistakes import explain_list_for_text
from flowrunner.step import Step
from flowrunner.values import Value, value_kind


@dataclass(frozen=True)
class _Body(Kind["Expression | Value"]):
    """An expression, or a map that builds a new payload."""

    phrase: str = "an expression, or a map of fields and values"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [ExpressionKind().schema(), {"type": "object"}]}

    def read(self, node: Node, place: Place) -> "Expression | Value":
        if isinstance(node, MapNode):
            return ValueKind().read(node, place)
        if isinstance(node, List) and not explain_list_for_text(node):
            raise place.refuse(node, self.phrase, help="for a list write an expression in quotes: `map: '[1, 2]'`")
        return ExpressionKind().read(node, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Map(Step):
    """Replace the payload by a value.

    A text is an expression (`map: payload.temperature`); a map builds a new payload, field by field.
    """

    KEY = "map"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - map: payload.temperature * 9 / 5 + 32
          - publish: fahrenheit/${room}
        tests:
          - given: {topic: sensors/attic, payload: {temperature: 20}}
            expect: {topic: fahrenheit/attic, payload: 68}
        """,
        """
        subscribe: sensors/+room
        steps:
          - json
          - map:
              room: ${room}
              text: "${payload.temperature:.1f} °C"
              readings: ["${payload.temperature}", "${payload.humidity}"]
          - publish: display
        tests:
          - given: {topic: sensors/attic, payload: {temperature: 20, humidity: 40}}
            expect: {topic: display, payload: {room: attic, text: 20.0 °C, readings: [20, 40]}}
        """,
    )

    body: "Expression | Value" = option(_Body(), "what the payload becomes", only=True)

    def after(self, scope: Scope) -> Scope:
        kind = kind_of(self.body, scope) if isinstance(self.body, Expression) else value_kind(self.body, scope)
        return scope.with_(payload=kind)

    def emit(self, to: Block) -> None:
        to.run("payload = VALUE", VALUE=to.value(self.body))
