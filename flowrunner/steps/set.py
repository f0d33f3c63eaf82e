"""Turns values into fields of the payload: the step `set`."""

import ast
from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.expressions import Scope
from flowrunner.fields import check_map, set_fields
from flowrunner.options import FieldValues, option
from flowrunner.snippets import place
from flowrunner.step import Step
from flowrunner.values import Value, value_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Set(Step):
    """Set fields of the payload.

    Dotted names reach inside (`room.name`); maps that are missing on the way are made. Every value is computed from the
    payload as it came into the step, so the order of the fields does not matter.
    """

    KEY = "set"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - set:
              level: ${"hot" if payload.temperature > 30 else "warm"}
              place.room: ${room}
          - publish: out
        tests:
          - given: {topic: sensors/attic, payload: {temperature: 31}}
            expect: {topic: out, payload: {temperature: 31, level: hot, place: {room: attic}}}
        """,
    )

    fields: tuple[tuple[tuple[str, ...], Value], ...] = option(FieldValues(), "field: value", only=True)

    def after(self, scope: Scope) -> Scope:
        kinds = {value_kind(value, scope) for _, value in self.fields}
        is_plain = scope.names["payload"] == "data" and kinds <= {"text", "data"}
        return scope.with_(payload="data" if is_plain else "any")

    def emit(self, to: Block) -> None:
        holes = {"TYPE": to.helper(type), "DICT": to.helper(dict), "CHECK": to.helper(check_map)}
        to.run("if TYPE(payload) is not DICT:\n    CHECK(payload)", **holes)
        if all(len(path) == 1 for path, _ in self.fields):
            changed = to.display(to.name("payload"), [(path[0], to.value(value)) for path, value in self.fields])
        else:
            values = place(ast.List([to.value(value) for _, value in self.fields], ast.Load()), to.span)
            holes = {"SET": to.helper(set_fields), "PATHS": to.constant(tuple(path for path, _ in self.fields))}
            changed = to.expression("SET(payload, PATHS, VALUES)", VALUES=values, **holes)
        to.run("payload = CHANGED", CHANGED=changed)
