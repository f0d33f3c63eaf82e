"""Turns messages with their times into lines of a file, and such lines back into messages."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.errors import FlowError, StepError
from flowrunner.jsons import to_payload
from flowrunner.message import Message, Properties
from flowrunner.options.properties import NAMES, check_properties
from flowrunner.text import Source, Span
from flowrunner.topics import BadTopic, check_topic

#: Characters of a line that an error shows.
_SHOWN = 160

_KEYS = ("time", "topic", "payload", "payload_base64", "payload_hex", "qos", "retain", "properties")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message, and when it came, in seconds since 1970."""

    time: float
    message: Message


def write_line(recorded: Recorded) -> bytes:
    """A message as a JSON object on a line of its own, with the line end.

    It has the keys of a message in `tests:`, and `time` (UTC, to the microsecond). Bytes that are no UTF-8 stand in
    base64, as `payload_base64` and `correlation_data_base64`. What is usual (QoS 0, no payload, ...) is left out.
    """
    message = recorded.message
    moment = datetime.fromtimestamp(recorded.time, UTC)
    shown: dict[str, Any] = {"time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "topic": message.topic}
    shown |= _text_or_base64("payload", message.payload) if message.payload else {}
    shown |= {"qos": message.qos} if message.qos else {}
    shown |= {"retain": True} if message.retain else {}
    if message.properties:
        shown["properties"] = _written(message.properties)
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


def _written(properties: Properties) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in NAMES:
        if name in properties:
            value = properties[name]
            found |= _text_or_base64(name, value) if isinstance(value, bytes) else {name: value}
    return found


def _text_or_base64(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def read_recording(lines: Iterable[bytes], name: str) -> Iterator[Recorded]:
    """The messages of a recording, line by line as they are asked for; empty lines are passed over.

    Raises FlowError, with the place in the file of this name, at the first line that is none of a recording. Lines of
    `sub --json` will do as well.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _Line(line, name, number).read()


class _Line:
    """One line, and where it stands."""

    def __init__(self, line: bytes, name: str, number: int) -> None:
        self.text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        self.name = name
        self.number = number

    def read(self) -> Recorded:
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", 0)
            raise self.refuse("a line of a recording must be a JSON object", at=at, label="no JSON here") from None
        if not isinstance(found, dict):
            raise self.refuse("a line of a recording must be a JSON object")
        for key in found:
            if key not in _KEYS:
                near = suggest(key, _KEYS)
                help = f"did you mean `{near}`?" if near else f"a message has {name_list(_KEYS)}"
                raise self.refuse(f"a recorded message has no key `{key[:40]}`", key, help)
        return Recorded(self.time_of(found), self.message_of(found))

    def time_of(self, found: Mapping[str, Any]) -> float:
        try:
            moment = datetime.fromisoformat(found["time"])
        except (KeyError, TypeError, ValueError):
            help = 'as in `"time": "2026-11-22T13:40:00.123456Z"`'
            raise self.refuse("`time` must say when the message came", "time", help) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def message_of(self, found: Mapping[str, Any]) -> Message:
        topic, qos, retain = found.get("topic"), found.get("qos", 0), found.get("retain", False)
        try:
            check_topic(topic if isinstance(topic, str) else "")
        except BadTopic as bad:
            raise self.refuse(f"`topic` must be one that can be published to: {bad.message}", "topic") from None
        if qos not in (0, 1, 2) or isinstance(qos, bool):
            raise self.refuse("`qos` must be 0, 1 or 2", "qos")
        if not isinstance(retain, bool):
            raise self.refuse("`retain` must be true or false", "retain")
        return Message(str(topic), self.payload_of(found), int(qos), retain, self.properties_of(found))

    def payload_of(self, found: Mapping[str, Any]) -> bytes:
        given = [key for key in _KEYS if key.startswith("payload") and key in found]
        if len(given) > 1:
            raise self.refuse("a message has one payload", given[1])
        try:
            if "payload_base64" in found:
                return base64.b64decode(found["payload_base64"], validate=True)
            return bytes.fromhex(found["payload_hex"]) if "payload_hex" in found else to_payload(found.get("payload"))
        except (TypeError, ValueError, binascii.Error):
            kind = "in base64" if "payload_base64" in found else "in hexadecimal digits"
            raise self.refuse(f"`{given[0]}` must be bytes {kind}", given[0]) from None
        except StepError as error:
            raise self.refuse(error.message, given[0]) from None

    def properties_of(self, found: Mapping[str, Any]) -> Properties:
        given = found.get("properties", {})
        if not isinstance(given, dict):
            raise self.refuse("`properties` must be an object", "properties")
        try:
            data = given.pop("correlation_data_base64", None)
            if data is not None:
                given["correlation_data"] = base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            text = "`correlation_data_base64` must be bytes in base64"
            raise self.refuse(text, "correlation_data_base64") from None
        for name in given:
            if name not in NAMES:
                raise self.refuse(f"there is no property `{name[:40]}`", name, f"properties are {name_list(NAMES)}")
        try:
            checked: Properties = check_properties(given)
        except StepError as error:
            raise self.refuse(error.message, "properties") from None
        return checked

    def refuse(self, message: str, key: str = "", help: str = "", *, at: int = 0, label: str = "") -> FlowError:
        """The error for this line, at one of its keys if it is there."""
        place = self.text.find(f'"{key}"') if key else -1
        start, end = (place, place + len(key) + 2) if place >= 0 else (at, at + 1 if at else len(self.text))
        helps = (help,) if help else ()
        return FlowError([Diagnostic("bad-recording", message, self.span(start, end), label, helps=helps)])

    def span(self, start: int, end: int) -> Span:
        """A place in the line, of which only the part around it is kept: a payload may be long."""
        cut = max(0, start - _SHOWN // 2) if len(self.text) > _SHOWN else 0
        text = self.text[cut : cut + _SHOWN]
        above = "\n" * (self.number - 1)
        return Source(self.name, above + text).span(len(above) + start - cut, len(above) + end - cut)
