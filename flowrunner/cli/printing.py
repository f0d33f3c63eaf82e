"""Turns a received message into the bytes that `sub` prints, by the formats of mosquitto_sub."""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.terminal import complain
from flowrunner.message import Properties
from flowrunner.run.properties import from_paho

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

Part = Callable[["Received"], bytes]


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came. `number` is its packet identifier (0 at QoS 0), `time` nanoseconds since 1970."""

    topic: str
    payload: bytes
    qos: int = 0
    is_retained: bool = False
    number: int = 0
    time: int = 0
    properties: Properties = field(default_factory=dict)
    other_properties: Properties = field(default_factory=dict)


def receive(message: "MQTTMessage") -> Received:
    """What paho hands over, with the time of now."""
    properties = message.properties
    others = {name: getattr(properties, name) for name in _OTHER_PROPERTIES if hasattr(properties, name)}
    plain, _ = from_paho(properties)
    return Received(
        message.topic,
        bytes(message.payload),
        message.qos,
        bool(message.retain),
        message.mid,
        time.time_ns(),
        plain,
        others,
    )


def as_json(message: Received, *, is_pretty: bool = False) -> bytes:
    """One object: `topic payload qos retain properties time`; bytes that are no text as `..._base64`."""
    properties = dict(sorted(message.properties.items()))
    data = properties.pop("correlation_data", None)
    if data is not None:
        properties |= _text_or_base64("correlation_data", data)
    shown = {
        "topic": message.topic,
        **_text_or_base64("payload", message.payload),
        "qos": message.qos,
        "retain": message.is_retained,
        "properties": properties,
        "time": datetime.fromtimestamp(message.time / 1e9, UTC).isoformat(timespec="milliseconds"),
    }
    return _dump(shown, is_pretty=is_pretty)


def _text_or_base64(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _dump(shown: dict[str, Any], *, is_pretty: bool) -> bytes:
    indent, separators = (2, None) if is_pretty else (None, (",", ":"))
    return json.dumps(shown, ensure_ascii=False, indent=indent, separators=separators).encode(errors="backslashreplace")


_SPEC = re.compile(r"%(?P<flags>[0-]*)(?P<width>\d*)(?:\.(?P<most>\d*))?(?P<letter>.)", re.DOTALL)
_ESCAPES = {"\\": b"\\", "0": b"\0", "a": b"\a", "e": b"\x1b", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v"}
_OTHER_PROPERTIES = ("UserProperty", "TopicAlias", "PayloadFormatIndicator", "SubscriptionIdentifier")


class _NotJson(Exception):
    """A payload that `%J` cannot show."""


def formatted(parts: list[Part], message: Received, end: bytes) -> bytes:
    """What a format makes of a message; nothing, and a word on standard error, where `%J` meets no JSON."""
    try:
        return b"".join(part(message) for part in parts) + end
    except _NotJson:
        complain(f"the payload on `{message.topic}` is not valid JSON")
        return b""


def parse_format(text: str, *, is_pretty: bool = False) -> list[Part]:
    r"""Read a format of mosquitto_sub (`-F`): `%` and a letter, `@` and a letter of strftime, `\` escapes."""
    parts: list[Part] = []
    place = 0
    while place < len(text):
        start = text[place]
        following = text[place + 1 : place + 2]
        if start == "%":
            spec = _SPEC.match(text, place)
            if spec is None:
                raise click.UsageError("the format ends with a lone `%`; write `%%` for the character itself")
            parts.append(_message_part(spec, is_pretty=is_pretty))
            place = spec.end()
        elif start in "@\\":
            if not following:
                raise click.UsageError(
                    f"the format ends with a lone `{start}`; write it twice for the character itself"
                )
            parts.append(_time_part(following) if start == "@" else _escape_part(following))
            place += 2
        else:
            parts.append(_constant(start.encode()))
            place += 1
    return parts


def _constant(data: bytes) -> Part:
    return lambda _message: data


def _escape_part(letter: str) -> Part:
    if letter not in _ESCAPES:
        raise click.UsageError(f"the format has no escape `\\{letter}`; write `\\\\` for the character itself")
    return _constant(_ESCAPES[letter])


def _time_part(letter: str) -> Part:
    if letter == "@":
        return _constant(b"@")
    if letter == "N":
        return lambda message: b"%09d" % (message.time % 10**9)
    return lambda message: time.strftime(f"%{letter}", time.localtime(message.time / 1e9)).encode()


def _message_part(spec: re.Match[str], *, is_pretty: bool) -> Part:
    letter = spec["letter"]
    if letter == "%":
        return _constant(b"%")
    if letter in "jJ":
        return lambda message: _mosquitto_json(message, is_raw=letter == "J", is_pretty=is_pretty)
    show = _LETTERS.get(letter)
    if show is None:
        raise click.UsageError(f"the format has no `%{letter}`; write `%%` for the character itself")
    width, most = int(spec["width"] or 0), int(spec["most"]) if spec["most"] else None
    is_left, fill = "-" in spec["flags"], b"0" if "0" in spec["flags"] and letter in "AEFlmSXx" else b" "

    def part(message: Received) -> bytes:
        shown = show(message)
        if most is not None and letter in "CIRt":
            shown = shown[:most]
        return shown.ljust(width) if is_left else shown.rjust(width, fill)

    return part


def _local_iso(message: Received, *, precise: bool = False) -> str:
    moment = datetime.fromtimestamp(message.time / 1e9).astimezone()
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f%z" if precise else "%Y-%m-%dT%H:%M:%S%z")


def _property(name: str) -> Part:
    def part(message: Received) -> bytes:
        value = message.properties.get(name, message.other_properties.get(name, ""))
        if isinstance(value, list):
            value = " ".join(map(str, value))
        return value if isinstance(value, bytes) else str(value).encode()

    return part


def _user_properties(message: Received) -> bytes:
    return " ".join(f"{name}:{value}" for name, value in message.other_properties.get("UserProperty", ())).encode()


def _mosquitto_json(message: Received, *, is_raw: bool, is_pretty: bool) -> bytes:
    payload: Any = message.payload.decode(errors="replace")
    if is_raw:
        try:
            payload = json.loads(message.payload)
        except ValueError:
            raise _NotJson from None
    shown: dict[str, Any] = {"tst": _local_iso(message, precise=True), "topic": message.topic}
    shown |= {"qos": message.qos, "retain": int(message.is_retained), "payloadlen": len(message.payload)}
    shown |= {"mid": message.number} if message.qos else {}
    named = {
        "user-properties": message.properties.get("user"),
        "content-type": message.properties.get("content_type"),
        "correlation-data": message.properties.get("correlation_data", b"").decode(errors="replace") or None,
        "response-topic": message.properties.get("response_topic"),
        "payload-format-indicator": message.other_properties.get("PayloadFormatIndicator"),
        "message-expiry-interval": message.properties.get("message_expiry"),
    }
    given = {name: value for name, value in named.items() if value is not None}
    return _dump(shown | ({"properties": given} if given else {}) | {"payload": payload}, is_pretty=is_pretty)


_LETTERS: dict[str, Part] = {
    "A": _property("TopicAlias"),
    "C": _property("content_type"),
    "D": _property("correlation_data"),
    "E": _property("message_expiry"),
    "F": _property("PayloadFormatIndicator"),
    "I": lambda message: _local_iso(message).encode(),
    "P": _user_properties,
    "R": _property("response_topic"),
    "S": _property("SubscriptionIdentifier"),
    "U": lambda message: b"%d.%09d" % divmod(message.time, 10**9),
    "X": lambda message: message.payload.hex().upper().encode(),
    "l": lambda message: b"%d" % len(message.payload),
    "m": lambda message: b"%d" % message.number,
    "p": lambda message: message.payload,
    "q": lambda message: b"%d" % message.qos,
    "r": lambda message: b"%d" % message.is_retained,
    "t": lambda message: message.topic.encode(),
    "x": lambda message: message.payload.hex().encode(),
}
