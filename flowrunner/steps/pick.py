"""Turns a map into one with fewer fields: the step `pick`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.fields import check_map, find_field, set_field
from flowrunner.options import FieldPaths, option
from flowrunner.step import Step

_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick(Step):
    """Keep only these fields of the payload; dots reach inside. A field that is not there is passed over."""

    KEY = "pick"
    EXAMPLES = (
        """
        subscribe: tele/+device
        steps:
          - json
          - pick: [Time, ENERGY.Power]
          - publish: power/${device}
        tests:
          - given: {topic: tele/oven, payload: {Time: "12:30", ENERGY: {Power: 5, Total: 9}, Wifi: {}}}
            expect: {topic: power/oven, payload: {Time: "12:30", ENERGY: {Power: 5}}}
        """,
    )

    fields: tuple[tuple[str, ...], ...] = option(FieldPaths(), "the fields to keep", only=True)

    def emit(self, to: Block) -> None:
        to.run("payload = PICK(payload, PATHS)", PICK=to.helper(pick_fields), PATHS=to.constant(self.fields))


def pick_fields(payload: Any, paths: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """A map with only these fields. Raises StepError unless the payload is a map."""
    check_map(payload)
    picked: dict[str, Any] = {}
    for path in paths:
        value = find_field(payload, path, _MISSING)
        if value is not _MISSING:
            picked = set_field(picked, path, value)
    return picked
