"""Turns a number of one range into one of another: the step `scale`."""

import math
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.fields import get_field, name_kind, set_field
from flowrunner.options import Bool, FieldPath, Integer, Kind, Number, Place, option
from flowrunner.read.nodes import List, Node
from flowrunner.step import Step

Range = tuple[float, float]


@dataclass(frozen=True)
class _Range(Kind[Range]):
    """Two different numbers."""

    phrase: str = "two different numbers: `[low, high]`"
    may_be_point: bool = False

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}

    def read(self, node: Node, place: Place) -> Range:
        if not isinstance(node, List) or len(node.items) != 2:
            raise place.refuse(node, self.phrase)
        low, high = (Number().read(item, place) for item in node.items)
        if low == high and not self.may_be_point:
            raise place.refuse(node, self.phrase)
        return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Step):
    """Scale a number linearly from one range to another.

    `from: [0, 1023], to: [0, 100]` makes per cent of what an Arduino reads. Without `field` the payload itself is the
    number. Numbers outside of `from` are scaled as well, unless `clamp: true` cuts them to the ends.
    """

    KEY = "scale"
    EXAMPLES = (
        """
        subscribe: plants/+pot
        steps:
          - json
          - scale: {field: moisture, from: [1023, 0], to: [0, 100], round: 1}
          - publish: plants/${pot}/percent
        tests:
          - given: {topic: plants/basil, payload: {moisture: 256}}
            expect: {topic: plants/basil/percent, payload: {moisture: 75.0}}
        """,
        """
        subscribe: dimmer
        steps:
          - json
          - scale: {from: [0, 100], to: [0, 255], clamp: true, round: 0}
          - publish: lamp/brightness
        tests:
          - given: [{topic: dimmer, payload: 40}, {topic: dimmer, payload: 120}]
            expect: [{topic: lamp/brightness, payload: 102}, {topic: lamp/brightness, payload: 255}]
        """,
    )

    field: tuple[str, ...] = option(FieldPath(), "the field with the number; without it the payload", default=())
    source: Range = option(_Range(), "the range that comes in, `[low, high]`", name="from")
    target: Range = option(_Range(may_be_point=True), "the range that goes out, `[low, high]`", name="to")
    clamp: bool = option(Bool(), "cut what lies outside of `from` to its ends", default=False)
    round: int | None = option(Integer(0, 15), "digits behind the point; 0 gives a whole number", default=None)

    def emit(self, to: Block) -> None:
        number = to.name("payload")
        if self.field:
            number = to.expression("GET(payload, PATH)", GET=to.helper(get_field), PATH=to.constant(self.field))
        options = (self.source, self.target, self.clamp, self.round)
        holes = {f"C{index}": to.constant(value) for index, value in enumerate(options)}
        scaled = to.expression("SCALE(NUMBER, C0, C1, C2, C3)", SCALE=to.helper(scale), NUMBER=number, **holes)
        if self.field:
            path = to.constant(self.field)
            scaled = to.expression("SET(payload, PATH, SCALED)", SET=to.helper(set_field), PATH=path, SCALED=scaled)
        to.run("payload = SCALED", SCALED=scaled)


def scale(value: Any, source: Range, target: Range, is_clamped: bool, digits: int | None) -> float:  # noqa: FBT001
    """A number on its new scale. Raises StepError for anything but a finite number, and where none comes out."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        help = "put `- convert: {...: float}` before" if isinstance(value, str) else ""
        raise StepError(f"only a number can be scaled, this is {name_kind(value)}", code="not-a-number", help=help)
    if value != value or value in (math.inf, -math.inf):  # noqa: PLR0124 - NaN alone is not itself
        raise StepError("only a finite number can be scaled", code="not-a-number")
    try:
        scaled = (value - source[0]) * (target[1] - target[0]) / (source[1] - source[0]) + target[0]
        if is_clamped:
            scaled = min(max(scaled, min(target)), max(target))
        if digits is None:
            return _finite(scaled)
        return round(_finite(scaled), digits) if digits else round(_finite(scaled))
    except (OverflowError, ValueError):
        raise StepError("the scaled number is too large", code="too-large") from None


def _finite(number: float) -> float:
    if math.isfinite(number):
        return number
    raise OverflowError
