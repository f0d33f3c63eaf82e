"""Turns the values of fields into other types: the step `convert`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.fields import get_field, name_kind, set_field
from flowrunner.jsons import dumps
from flowrunner.options import Choice, Kind, Place, option
from flowrunner.options.computed import entries_of
from flowrunner.options.texts import field_path
from flowrunner.read.nodes import Node
from flowrunner.step import Step

_TRUE = {"true", "on", "yes", "1", "1.0"}
_FALSE = {"false", "off", "no", "0", "0.0"}
_LONGEST = 24  # characters of a value that an error shows


def to_int(value: Any) -> int:
    """A whole number; a fraction is an error, so that nothing is lost unseen."""
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return int(value)
    return int(value)


def to_float(value: Any) -> float:
    """A finite number."""
    number = _number(value) if isinstance(value, str) else float(value)
    if not math.isfinite(number):
        raise ValueError
    return float(number)


def _number(text: str) -> float:
    text = text.strip()
    if len(text) > 64 or "_" in text:
        raise ValueError
    try:
        return int(text)
    except ValueError:
        return float(text)


def to_bool(value: Any) -> bool:
    """`true`, `on`, `yes`, 1 and their opposites, in any case."""
    if not isinstance(value, str | int | float):
        raise TypeError
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def to_text(value: Any) -> str:
    """A text as it is, bytes as UTF-8, everything else as JSON."""
    if isinstance(value, str):
        return value
    return value.decode() if isinstance(value, bytes) else dumps(value).decode()


def to_time(value: Any) -> float:
    """Seconds since 1970, from a number (also of milliseconds) or from an ISO 8601 text (UTC without an offset)."""
    if isinstance(value, str):
        try:
            value = _number(value)
        except ValueError:
            moment = datetime.fromisoformat(value.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value):
        raise ValueError
    return value / 1000 if abs(value) >= 1e11 else float(value)  # seconds reach 1e11 in the year 5138


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "text": to_text,
    "time": to_time,
}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "a text", "time": "a time"}

Conversions = tuple[tuple[tuple[str, ...], str], ...]


@dataclass(frozen=True)
class _Conversions(Kind[Conversions]):
    """A map from fields to types."""

    phrase: str = "a map of fields and types"
    types: Choice = Choice(tuple(CONVERSIONS))

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "minProperties": 1, "additionalProperties": self.types.schema()}

    def read(self, node: Node, place: Place) -> Conversions:
        return tuple(
            (field_path(entry.key, entry.key.text, place), self.types.read(entry.value, place.inside(entry.key.text)))
            for entry in entries_of(node, place, self.phrase)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Convert(Step):
    """Change the type of fields: `int`, `float`, `bool`, `text` or `time` (seconds since 1970).

    What cannot be converted is a step error: `"21,5"` is no number, 21.5 no whole number. `bool` takes `true`, `on`,
    `yes`, `1` and their opposites; `time` takes ISO 8601 and seconds or milliseconds.
    """

    KEY = "convert"
    EXAMPLES = (
        """
        subscribe: in
        steps:
          - json
          - convert: {temperature: float, on: bool, at: time}
          - publish: out
        tests:
          - given: {topic: in, payload: {temperature: "21.5", on: "ON", at: "2024-01-01T00:00:00Z"}}
            expect: {topic: out, payload: {temperature: 21.5, on: true, at: 1704067200}}
          - given: {topic: in, payload: {temperature: "21,5", on: "ON", at: 0}}
            expect: []
        """,
    )

    fields: Conversions = option(_Conversions(), "field: type", only=True)

    def emit(self, to: Block) -> None:
        to.run("payload = CONVERT(payload, FIELDS)", CONVERT=to.helper(convert_fields), FIELDS=to.constant(self.fields))


def convert_fields(payload: Any, fields: Conversions) -> Any:
    """The map with fields converted. Raises StepError where a field is missing or cannot be converted."""
    for path, kind in fields:
        value = get_field(payload, path)
        try:
            payload = set_field(payload, path, CONVERSIONS[kind](value))
        except (ValueError, TypeError, OverflowError):
            message = f"`{'.'.join(path)}` is {_shown(value)}, which is not {_WORDS[kind]}"
            help = "a decimal comma: the sender must write a point" if _has_comma(value) else ""
            raise StepError(message, code="not-convertible", help=help) from None
    return payload


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= _LONGEST else f'"{value[:_LONGEST]}…"'
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**_LONGEST
    return str(value) if is_number else name_kind(value)


def _has_comma(value: Any) -> bool:
    return isinstance(value, str) and value.count(",") == 1 and value.replace(",", "").strip().lstrip("-").isdigit()
