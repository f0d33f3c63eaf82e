"""Turns a map into one without some fields: the step `remove`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.fields import check_map, remove_field
from flowrunner.options import FieldPaths, option
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Step):
    """Delete fields of the payload; dots reach inside. A field that is not there is passed over."""

    KEY = "remove"
    EXAMPLES = (
        """
        subscribe: in
        steps:
          - json
          - remove: [linkquality, update.state]
          - publish: out
        tests:
          - given: {topic: in, payload: {on: true, linkquality: 80, update: {state: idle, version: 2}}}
            expect: {topic: out, payload: {on: true, update: {version: 2}}}
        """,
    )

    fields: tuple[tuple[str, ...], ...] = option(FieldPaths(), "the fields to delete", only=True)

    def emit(self, to: Block) -> None:
        to.run("payload = REMOVE(payload, PATHS)", REMOVE=to.helper(remove_fields), PATHS=to.constant(self.fields))


def remove_fields(payload: Any, paths: tuple[tuple[str, ...], ...]) -> Any:
    """The map without these fields. Raises StepError unless the payload is a map."""
    check_map(payload)
    for path in paths:
        payload = remove_field(payload, path)
    return payload
