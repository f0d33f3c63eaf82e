"""Turns the properties of MQTT 5 packets into plain values and back (MQTT 5.0 section 2.2.2.2)."""

from collections.abc import Iterator
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES, Properties

_PLAIN = {
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "MessageExpiryInterval": "message_expiry",
}
_PAHO = {plain: name for name, plain in _PLAIN.items()} | {"user": "UserProperty"}
_TEXTS = ("content_type", "response_topic")
_LONGEST = 65_535
_LONGEST_EXPIRY = 0xFFFF_FFFF


def from_paho(found: PahoProperties | None) -> tuple[Properties, tuple[int, ...]]:
    """Properties of a PUBLISH as flows see them, and the identifiers of the subscriptions that matched."""
    if found is None:
        return NO_PROPERTIES, ()
    values = vars(found)
    identifiers = tuple(values.get("SubscriptionIdentifier", ()))
    plain: dict[str, Any] = {_PLAIN[name]: values[name] for name in values.keys() & _PLAIN.keys()}
    if "UserProperty" in values:
        plain["user"] = dict(values["UserProperty"])
    if "correlation_data" in plain:
        plain["correlation_data"] = bytes(plain["correlation_data"])
    return plain or NO_PROPERTIES, identifiers


def to_paho(properties: Properties) -> PahoProperties | None:
    """Properties for a PUBLISH; raises StepError for a value that the protocol cannot carry."""
    if not properties:
        return None
    made = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in checked(properties):
        setattr(made, _PAHO[name], value)
    return made


def checked(properties: Properties) -> Iterator[tuple[str, Any]]:
    """The properties that a PUBLISH can have; `user` as pairs. Raises StepError for a value that cannot be carried."""
    for name, value in properties.items():
        if name == "user":
            yield name, [(_text("user", key), _text("user", item)) for key, item in dict(value).items()]
        elif name in _PLAIN.values():
            yield name, _checked(name, value)


def _checked(name: str, value: Any) -> Any:
    if name in _TEXTS:
        return _text(name, value)
    if name == "correlation_data":
        data = value.encode() if isinstance(value, str) else value
        if not isinstance(data, bytes) or len(data) > _LONGEST:
            raise StepError(f"the property `{name}` must be at most {_LONGEST} bytes", code="wrong-property")
        return data
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LONGEST_EXPIRY:
        raise StepError(f"the property `{name}` must be a number of seconds", code="wrong-property")
    return int(value)


def _text(name: str, value: Any) -> str:
    """A text that MQTT can carry (MQTT 5.0 section 1.5.4)."""
    text = value if isinstance(value, str) else str(value)
    try:
        is_fine = len(text.encode()) <= _LONGEST and "\0" not in text
    except UnicodeEncodeError:
        is_fine = False
    if not is_fine:
        raise StepError(
            f"the property `{name}` must be a text without NUL, up to {_LONGEST} bytes", code="wrong-property"
        )
    return text
