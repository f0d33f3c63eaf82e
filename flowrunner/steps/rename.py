"""Turns names of fields into other names: the step `rename`."""

from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.fields import check_map, find_field, remove_field, set_field
from flowrunner.options import FieldPath, Kind, Place, option
from flowrunner.options.computed import entries_of
from flowrunner.options.texts import field_path
from flowrunner.read.nodes import Node
from flowrunner.step import Step

Paths = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
_MISSING = object()


@dataclass(frozen=True)
class _Renames(Kind[Paths]):
    """A map from the field's name to its new name."""

    phrase: str = "a map `old: new`"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "minProperties": 1, "additionalProperties": FieldPath().schema()}

    def read(self, node: Node, place: Place) -> Paths:
        return tuple(
            (field_path(entry.key, entry.key.text, place), FieldPath().read(entry.value, place.inside(entry.key.text)))
            for entry in entries_of(node, place, self.phrase)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Step):
    """Rename fields of the payload, all at once (two names can be swapped).

    Dots reach inside, so a field can move into a map or out of it. A field that is not there is passed over.
    """

    KEY = "rename"
    EXAMPLES = (
        """
        subscribe: in
        steps:
          - json
          - rename: {temp: temperature, sensor.id: device}
          - publish: out
        tests:
          - given: {topic: in, payload: {temp: 20, sensor: {id: d17}}}
            expect: {topic: out, payload: {temperature: 20, device: d17, sensor: {}}}
          - given: {topic: in, payload: {other: 1}}
            expect: {topic: out, payload: {other: 1}}
        """,
    )

    names: Paths = option(_Renames(), "old: new", only=True)

    def emit(self, to: Block) -> None:
        to.run("payload = RENAME(payload, NAMES)", RENAME=to.helper(rename_fields), NAMES=to.constant(self.names))


def rename_fields(payload: Any, names: Paths) -> Any:
    """The map with fields renamed. Raises StepError unless it is a map, or where a new name leads through no map."""
    check_map(payload)
    moved = [(new, find_field(payload, old, _MISSING)) for old, new in names]
    for old, _ in names:
        payload = remove_field(payload, old)
    for new, value in moved:
        if value is not _MISSING:
            payload = set_field(payload, new, value)
    return payload
