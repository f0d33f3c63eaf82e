"""Turns numbers, switches and quantities with units into checked values."""

from collections.abc import Callable
from math import isfinite
from typing import Any

from flowrunner.errors import StepError
from flowrunner.fields import name_kind
from flowrunner.options.kind import Dynamic, Kind, Place
from flowrunner.quantities import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    BadQuantity,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)
from flowrunner.read.nodes import Node
from flowrunner.records import dataclass


@dataclass(frozen=True, slots=True)
class Bool(Kind[bool]):
    """`true` or `false`."""

    phrase: str = "`true` or `false`"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def read(self, node: Node, place: Place) -> bool:
        value = place.scalar(node, self.phrase).value
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        help = {"yes": "write `true`", "on": "write `true`", "no": "write `false`", "off": "write `false`"}.get(
            word, ""
        )
        raise place.refuse(node, self.phrase, help=help)


@dataclass(frozen=True, slots=True)
class Number(Kind[float]):
    """A number between two bounds (both may be met)."""

    low: float | None = None
    high: float | None = None
    phrase: str = "a number"

    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.low, "maximum": self.high}
        return {"type": "number"} | {key: bound for key, bound in bounds.items() if bound is not None}

    def read(self, node: Node, place: Place) -> float:
        value = place.scalar(node, self.phrase).value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise place.refuse(node, self.phrase)
        if not self.is_inside(value):
            raise place.refuse(node, self.phrase, label="")
        return value

    def is_inside(self, value: float) -> bool:
        """Whether a number keeps the bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Integer(Kind[int]):
    """A whole number between two bounds (both may be met)."""

    low: int | None = None
    high: int | None = None
    phrase: str = "a whole number"

    def schema(self) -> dict[str, Any]:
        return Number(self.low, self.high).schema() | {"type": "integer"}

    def read(self, node: Node, place: Place) -> int:
        value = place.scalar(node, self.phrase).value
        if not isinstance(value, int) or isinstance(value, bool):
            raise place.refuse(node, self.phrase)
        if not Number(self.low, self.high).is_inside(value):
            raise place.refuse(node, self.phrase, label="")
        return value


@dataclass(frozen=True, slots=True)
class FixedQoS(Integer):
    """Quality of service (MQTT 5.0 section 4.3) where no message is there yet to compute it from."""

    low: int | None = 0
    high: int | None = 2
    phrase: str = "0, 1 or 2"

    def schema(self) -> dict[str, Any]:
        return {"enum": [0, 1, 2]}


def check_qos(value: Any) -> int:
    """A computed QoS. Raises StepError unless it is 0, 1 or 2."""
    if value in (0, 1, 2) and not isinstance(value, bool):
        return int(value)
    raise StepError("`qos` must be 0, 1 or 2", code="wrong-value")


def check_flag(value: Any) -> bool:
    """A computed `true` or `false`. Raises StepError for anything else."""
    if isinstance(value, bool):
        return value
    raise StepError("this must be `true` or `false`", code="wrong-value")


def QoS() -> Kind[Any]:  # noqa: N802 - reads like the other kinds
    """Quality of service (MQTT 5.0 section 4.3): 0, 1 or 2, or one `${...}`."""
    return Dynamic(FixedQoS(), check_qos)


def check_duration(value: Any) -> float:
    """A computed duration in seconds, from a text such as `5s`. Raises StepError for anything else."""
    try:
        return parse_duration(value if isinstance(value, str) else str(value))
    except BadQuantity as bad:
        message = f"a duration such as `5s` is wanted: {bad.message}"
        raise StepError(message, code="wrong-value", help=bad.help) from None


def check_number(value: Any) -> float:
    """A computed number. Raises StepError for anything else, also for NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise StepError(f"a number is wanted, this is {name_kind(value)}", code="wrong-value")
    return value


FLAG = Dynamic(Bool(), check_flag)


@dataclass(frozen=True, slots=True)
class _Quantity(Kind[Any]):
    """A text with a number and a unit."""

    parse: Callable[[str], Any]
    phrase: str
    pattern: str
    examples: tuple[str, ...]
    format: Callable[[Any], str] | None = None

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern, "examples": list(self.examples)}

    def read(self, node: Node, place: Place) -> Any:
        scalar = place.scalar(node, self.phrase)
        try:
            return self.parse(scalar.text)
        except BadQuantity as bad:
            raise place.refuse(node, self.phrase, help=bad.help) from None

    def write(self, value: Any) -> str | None:
        return self.format(value) if self.format and isinstance(value, int | float) else None


def Duration() -> Kind[float]:  # noqa: N802
    """A duration in seconds, written `500ms`, `5s`, `2m`, `1h` or `1d`."""
    examples = ("500ms", "5s", "2m", "1h")
    return _Quantity(parse_duration, "a duration such as `5s`", DURATION_PATTERN, examples, format_duration)


def DynamicDuration() -> Kind[Any]:  # noqa: N802
    """A duration in seconds, or one `${...}` that gives such a text."""
    return Dynamic(Duration(), check_duration)


def Rate() -> Kind[tuple[int, float]]:  # noqa: N802
    """A rate as (count, seconds), written `10/s` or `5/m`."""
    return _Quantity(parse_rate, "a rate such as `10/s`", RATE_PATTERN, ("10/s", "5/m"))


def _parse_frequency(text: str) -> tuple[int, float]:
    return parse_rate(text) if "/" in text else (1, parse_duration(text))


def Frequency() -> Kind[tuple[int, float]]:  # noqa: N802
    """A rate as (count, seconds): `10/s`, or a duration for one in that time: `5s`."""
    pattern = f"({DURATION_PATTERN})|({RATE_PATTERN})"
    return _Quantity(_parse_frequency, "a duration such as `5s` or a rate such as `10/s`", pattern, ("5s", "10/s"))


@dataclass(frozen=True, slots=True)
class CountOrDuration(Kind[int | float]):
    """A whole number (int), or a duration in seconds (float)."""

    phrase: str = "a number of messages such as `10`, or a duration such as `1s`"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [Integer(1).schema(), Duration().schema()]}

    def read(self, node: Node, place: Place) -> int | float:
        scalar = place.scalar(node, self.phrase)
        if isinstance(scalar.value, int):
            return Integer(1, None, self.phrase).read(node, place)
        try:
            return float(parse_duration(scalar.text))
        except BadQuantity as bad:
            raise place.refuse(node, self.phrase, help=bad.help) from None


def Size() -> Kind[int]:  # noqa: N802
    """A size in bytes, written `64KiB` or `10MB`."""
    return _Quantity(parse_size, "a size such as `64KiB`", SIZE_PATTERN, ("64KiB", "10MB"), format_size)
