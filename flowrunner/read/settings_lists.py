"""Turns numbers, switches, lists and payloads of `flowrunner.yaml` into checked values, or into diagnostics."""

from typing import Any

from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.read.nodes import List, Node, Scalar
from flowrunner.read.settings_kinds import WITH_HOLE, Kind, Place
from flowrunner.read.settings_maps import Value
from flowrunner.records import dataclass
from flowrunner.topics import BadTopic, check_topic, parse_filter

_MOST_ALPN = 255
_MOST_PAYLOAD = 65_535  # that of a will (MQTT 5.0 section 3.1.3.4)


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number from `least` to `most`."""

    least: int
    most: int

    @property
    def phrase(self) -> str:  # type: ignore[override]  # a property stands in for the attribute
        """With its bounds."""
        if self.most - self.least == 2:
            return f"{self.least}, {self.least + 1} or {self.most}"
        return f"a whole number from {self.least} to {self.most}"

    def schema(self) -> dict[str, Any]:
        """A number."""
        return {"anyOf": [{"type": "integer", "minimum": self.least, "maximum": self.most}, WITH_HOLE]}

    def read(self, node: Node, place: Place) -> int:
        """The number."""
        text = place.fill(node, self.phrase).text
        if not (text.isascii() and text.isdigit() and len(text) < 12 and self.least <= int(text) <= self.most):
            raise place.refuse(node, self.phrase)
        return int(text)


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false."""

    phrase: str = "`true` or `false`"

    def schema(self) -> dict[str, Any]:
        """A bool."""
        return {"anyOf": [{"type": "boolean"}, WITH_HOLE]}

    def read(self, node: Node, place: Place) -> bool:
        """The bool."""
        text = place.fill(node, self.phrase).text
        if text not in ("true", "false"):
            raise place.refuse(node, self.phrase)
        return text == "true"


@dataclass(frozen=True, slots=True)
class TopicText(Kind):
    """A topic, without wildcards."""

    phrase: str = "a topic such as `site/runner`"

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string"}

    def read(self, node: Node, place: Place) -> str:
        """The topic."""
        return _topic(node, place, self.phrase)


@dataclass(frozen=True, slots=True)
class GroupName(Kind):
    """The name of a group of shared subscriptions."""

    phrase: str = "the name of a group such as `hall-7`, without `/`, `+` and `#`"

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string", "pattern": r"^(?:[^/+#]+|[\s\S]*\$\{[\s\S]*\}[\s\S]*)$"}

    def read(self, node: Node, place: Place) -> str:
        """The name (MQTT 5.0 section 4.8.2)."""
        text = place.fill(node, self.phrase).text
        try:
            is_group = parse_filter(f"$share/{text}/#").share == text
        except BadTopic:
            is_group = False
        if not is_group:
            raise place.refuse(node, self.phrase)
        return text


@dataclass(frozen=True, slots=True)
class Payload(Kind):
    """Any value, as `publish` sends it."""

    phrase: str = "a text, or what is sent as JSON"

    def schema(self) -> dict[str, Any]:
        """Anything."""
        return {}

    def read(self, node: Node, place: Place) -> bytes:
        """The bytes."""
        try:
            payload = to_payload(Value().read(node, place))
        except StepError as error:
            raise place.refuse(node, self.phrase, error.message) from None
        if len(payload) > _MOST_PAYLOAD:
            raise place.refuse(node, f"at most {_MOST_PAYLOAD} bytes")
        return payload


@dataclass(frozen=True, slots=True)
class _Texts(Kind):
    """A list of texts; a single one may stand by itself."""

    phrase: str = "a list of texts"

    def schema(self) -> dict[str, Any]:
        """A text or a list."""
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

    def read(self, node: Node, place: Place) -> tuple[str, ...]:
        """The texts."""
        if not isinstance(node, List | Scalar):
            raise place.refuse(node, self.phrase)
        return tuple(self.one(item, place) for item in (node if isinstance(node, List) else [node]))

    def one(self, node: Node, place: Place) -> str:
        """One of them."""
        return place.fill(node, self.phrase).text


@dataclass(frozen=True, slots=True)
class Protocols(_Texts):
    """Names of protocols for ALPN."""

    phrase: str = "a list of names such as `[mqtt]`"

    def one(self, node: Node, place: Place) -> str:
        """A name of 1 to 255 characters (RFC 7301 section 3.1)."""
        text = place.fill(node, self.phrase).text
        if not (text.isascii() and 0 < len(text) <= _MOST_ALPN):
            raise place.refuse(node, self.phrase)
        return text


@dataclass(frozen=True, slots=True)
class Prefixes(_Texts):
    """Beginnings of topics."""

    phrase: str = "a list of beginnings of topics, such as `[rooms/]`"

    def one(self, node: Node, place: Place) -> str:
        """One beginning: a topic as far as it goes."""
        return _topic(node, place, self.phrase)


def _topic(node: Node, place: Place, phrase: str) -> str:
    """A topic without wildcards (MQTT 5.0 section 4.7.1)."""
    text = place.fill(node, phrase).text
    try:
        check_topic(text)
    except BadTopic as bad:
        raise place.refuse(node, phrase, bad.message) from None
    return text
