"""Turns a map into the properties of an MQTT 5 message."""

from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.errors import StepError
from flowrunner.expressions import Template
from flowrunner.fields import name_kind
from flowrunner.options.computed import ValueKind
from flowrunner.options.kind import Kind, Place, did_you_mean
from flowrunner.read.nodes import Map, Node, plain
from flowrunner.records import dataclass
from flowrunner.topics import BadTopic, check_topic
from flowrunner.values import Constant, Fields, Items, Value

MAX_BYTES = 65_535
NAMES = ("user", "content_type", "response_topic", "correlation_data", "message_expiry")


@dataclass(frozen=True, slots=True)
class MessageProperties(Kind[Value]):
    """Properties of a PUBLISH packet (MQTT 5.0 section 3.3.2.3). In `tests:` they are fixed: nothing is inserted."""

    is_fixed: bool = False
    phrase: str = "a map of MQTT 5 properties"

    def schema(self) -> dict[str, Any]:
        texts: dict[str, Any] = {name: {"type": "string"} for name in NAMES}
        texts["user"] = {"type": ["object", "string"], "additionalProperties": {"type": ["string", "number"]}}
        texts["message_expiry"] = {"type": ["number", "string"]}
        return {"type": "object", "properties": texts, "additionalProperties": False}

    def read(self, node: Node, place: Place) -> Value:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        for entry in node.entries:
            if entry.key.text not in NAMES:
                help = did_you_mean(entry.key.text, NAMES) or f"properties are {name_list(NAMES)}"
                message = f"there is no property `{entry.key.text}`"
                raise place.report.refuse(Diagnostic("unknown-key", message, entry.key.span, helps=(help,)))
        value = Constant(plain(node), node.span) if self.is_fixed else ValueKind().read(node, place)
        values = dict(value.entries) if isinstance(value, Fields) else plain(node)
        for entry in node.entries:
            try:
                check_properties({entry.key.text: _stand_in(values[entry.key.text], entry.key.text)})
            except StepError as error:
                span = entry.value.span.first_line()
                raise place.report.refuse(Diagnostic("wrong-value", error.message, span)) from None
        return Constant(check_properties(value.value), value.span) if isinstance(value, Constant) else value


def _stand_in(value: Any, name: str) -> Any:
    """What is constant in a property, and for the rest something that passes."""
    match value:
        case Constant():
            return value.value
        case Template():
            return {"user": {}, "message_expiry": 0}.get(name, "x")
        case Fields(entries):
            return {key: _stand_in(inner, "") for key, inner in entries}
        case Items():
            return []
    return value


def check_properties(value: Any) -> dict[str, Any]:
    """Properties as they can be sent. Raises StepError where one has the wrong type."""
    checked: dict[str, Any] = {}
    for name, given in value.items():
        if name == "user":
            if not isinstance(given, dict):
                raise _wrong(name, given, "a map of texts")
            checked[name] = dict(_pair(key, text) for key, text in given.items())
        elif name == "correlation_data":
            if not isinstance(given, str | bytes):
                raise _wrong(name, given, "a text or bytes")
            checked[name] = _sized(name, _encoded(name, given) if isinstance(given, str) else given)
        elif name == "message_expiry":
            if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 2**32:
                raise _wrong(name, given, "a number of seconds")
            checked[name] = int(given)
        else:
            if not isinstance(given, str):
                raise _wrong(name, given, "a text")
            checked[name] = _text(name, given)
    if "response_topic" in checked:
        _check_response_topic(checked["response_topic"])
    return checked


def _pair(key: Any, value: Any) -> tuple[str, str]:
    if not isinstance(key, str):
        raise _wrong("user", key, "a map of texts")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(f"user.{key}", value, "a text or number")
    return _text("user", key), _text(f"user.{key}", str(value))


def _text(name: str, text: str) -> str:
    """A text as MQTT sends it (MQTT 5.0 section 1.5.4): UTF-8, without NUL, in at most 65 535 bytes."""
    if "\0" in text:
        raise StepError(f"the property `{name}` must not contain NUL", code="wrong-value")
    _sized(name, _encoded(name, text))
    return text


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StepError(f"the property `{name}` must be valid Unicode", code="wrong-value") from None


def _sized(name: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise StepError(f"the property `{name}` must have at most {MAX_BYTES} bytes", code="wrong-value")
    return data


def _check_response_topic(topic: str) -> None:
    """A response topic is a topic (MQTT 5.0 section 3.3.2.3.5)."""
    try:
        check_topic(topic)
    except BadTopic as bad:
        raise StepError(f"`response_topic`: {bad.message}", code="wrong-value") from None


def _wrong(name: str, value: Any, wanted: str) -> StepError:
    return StepError(f"the property `{name}` must be {wanted}, this is {name_kind(value)}", code="wrong-value")
