"""Turns a map into the properties of an MQTT 5 message."""

from dataclasses import dataclass
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.errors import StepError
from flowrunner.fields import name_kind
from flowrunner.options.computed import ValueKind
from flowrunner.options.kind import Kind, Place, did_you_mean
from flowrunner.read.nodes import Map, Node
from flowrunner.values import Constant, Value

NAMES = ("user", "content_type", "response_topic", "correlation_data", "message_expiry")


@dataclass(frozen=True)
class MessageProperties(Kind[Value]):
    """Properties of a PUBLISH packet (MQTT 5.0 section 3.3.2.3)."""

    phrase: str = "a map of MQTT 5 properties"

    def schema(self) -> dict[str, Any]:
        texts: dict[str, Any] = {name: {"type": "string"} for name in NAMES}
        texts["user"] = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
        texts["message_expiry"] = {"type": ["integer", "string"]}
        return {"type": "object", "properties": texts, "additionalProperties": False}

    def read(self, node: Node, place: Place) -> Value:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        for entry in node.entries:
            if entry.key.text not in NAMES:
                help = did_you_mean(entry.key.text, NAMES) or f"properties are {name_list(NAMES)}"
                message = f"there is no property `{entry.key.text}`"
                raise place.report.refuse(Diagnostic("unknown-key", message, entry.key.span, helps=(help,)))
        value = ValueKind().read(node, place)
        if isinstance(value, Constant):
            try:
                return Constant(check_properties(value.value), value.span)
            except StepError as error:
                raise place.report.refuse(Diagnostic("wrong-value", error.message, node.span.first_line())) from None
        return value


def check_properties(value: Any) -> dict[str, Any]:
    """Properties as they can be sent. Raises StepError where one has the wrong type."""
    checked: dict[str, Any] = {}
    for name, given in value.items():
        if name == "user":
            if not isinstance(given, dict):
                raise _wrong(name, given, "a map of texts")
            checked[name] = {key: text if isinstance(text, str) else _plain(key, text) for key, text in given.items()}
        elif name == "correlation_data":
            if not isinstance(given, str | bytes):
                raise _wrong(name, given, "a text or bytes")
            checked[name] = given.encode() if isinstance(given, str) else given
        elif name == "message_expiry":
            if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 2**32:
                raise _wrong(name, given, "a number of seconds")
            checked[name] = int(given)
        else:
            if not isinstance(given, str):
                raise _wrong(name, given, "a text")
            checked[name] = given
    return checked


def _plain(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(f"user.{key}", value, "a text or number")
    return str(value)


def _wrong(name: str, value: Any, wanted: str) -> StepError:
    return StepError(f"the property `{name}` must be {wanted}, this is {name_kind(value)}", code="wrong-value")
