"""Turns messages into the YAML of a test that says the same, byte for byte."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.read.document import read_document
from flowrunner.read.nodes import plain
from flowrunner.text import Source

_PLAIN = re.compile(r"[A-Za-z_/][\w/.+-]*(?: [\w/.+-]+)*", re.ASCII)
_NOTHING = object()


def message_text(
    topic: str, payload: bytes, *, qos: int, retain: bool, properties: Mapping[str, Any], is_given: bool
) -> str:
    """A message as a map on one line."""
    entries = {"topic": value_text(topic)}
    if payload or not is_given:
        key, text = payload_entry(payload)
        entries[key] = text
    if qos:
        entries["qos"] = str(qos)
    if retain:
        entries["retain"] = "true"
    if shown := dict(_properties(properties)):
        entries["properties"] = value_text(shown)
    return "{" + ", ".join(f"{key}: {text}" for key, text in entries.items()) + "}"


def payload_entry(payload: bytes) -> tuple[str, str]:
    """The key and the text of a payload: the first of a value, a text and base64 that is read as the same bytes."""
    for value in _values(payload):
        text = value_text(value)
        if is_read_as(text, payload):
            return "payload", text
    return "payload_base64", json.dumps(base64.b64encode(payload).decode())


def _values(payload: bytes) -> Iterator[Any]:
    if not payload:
        yield None
    with suppress(orjson.JSONDecodeError):
        yield orjson.loads(payload)
    with suppress(UnicodeDecodeError):
        yield payload.decode()


def is_read_as(text: str, payload: bytes) -> bool:
    """Whether what stands in a file is sent as these bytes."""
    node, mistakes = read_document(Source("payload", f"[{text}]"))
    if mistakes or node is None:
        return False
    try:
        (value,) = plain(node)
        return to_payload(value) == payload
    except (StepError, ValueError):
        return False


def value_text(value: Any) -> str:
    """A value on one line, in YAML inside of brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{value_text(str(key))}: {value_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and _plain_value(value) == value else _quoted(value)
    return orjson.dumps(value).decode()


def _plain_value(text: str) -> Any:
    node, mistakes = read_document(Source("text", f"[{text}]"))
    if mistakes or node is None:
        return _NOTHING
    values = plain(node)
    return values[0] if len(values) == 1 else _NOTHING


def _quoted(text: str) -> str:
    """A text in quotes: single ones where it holds double ones, else those of JSON with more escapes."""
    if '"' in text and "'" not in text and "\\" not in text and text.isprintable():
        return f"'{text}'"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in quoted)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _properties(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The properties that a test can name."""
    for name in ("content_type", "response_topic", "message_expiry", "user", "correlation_data"):
        value = properties.get(name)
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError:
                continue
        if value is not None and value != {}:
            yield name, value
