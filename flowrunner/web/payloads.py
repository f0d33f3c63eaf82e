"""Turns values of messages into what a browser shows: text, JSON, or bytes, cut to a bearable size."""

from typing import Any

import orjson

from flowrunner.errors import StepError
from flowrunner.jsons import dumps

#: Characters of a payload that are shown, and of any other value.
MOST = 16_384
MOST_OF_NAME = 400

_HIDDEN = frozenset({"payload", "topic", "qos", "retain", "properties"})


def show(value: Any) -> dict[str, Any]:
    """A payload as JSON: its `kind` (text, json, bytes, empty), its `text`, its size in bytes, and whether it is cut.

    It is rendered at once: a step behind may change a map in place.
    """
    if isinstance(value, bytes):
        return _of_bytes(value)
    if isinstance(value, str):
        return _shown("text", value, len(value.encode("utf-8", "replace")))
    text = as_json(value)
    return _shown("json", text, len(text))


def _of_bytes(value: bytes) -> dict[str, Any]:
    if not value:
        return _shown("empty", "", 0)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        shown = value[: MOST // 3].hex(" ")
        return {"kind": "bytes", "text": shown, "size": len(value), "cut": len(value) > MOST // 3}
    try:
        is_json = len(value) <= MOST and isinstance(orjson.loads(value), dict | list)
    except orjson.JSONDecodeError:
        is_json = False
    return _shown("json" if is_json else "text", text, len(value))


def as_json(value: Any) -> str:
    """A value as JSON; in Python's words where JSON has none."""
    try:
        return dumps(value).decode()
    except (StepError, TypeError, ValueError, RecursionError):
        try:
            return repr(value)
        except (RecursionError, ValueError):
            return "(cannot be shown)"


def show_names(values: dict[str, Any]) -> dict[str, str]:
    """The names of a message beside those that each has, with their values in short."""
    found = {name: value for name, value in values.items() if name not in _HIDDEN and not name.startswith("_")}
    return {name: as_json(value)[:MOST_OF_NAME] for name, value in found.items()}


def show_properties(properties: Any) -> dict[str, str]:
    """The MQTT 5 properties of a message."""
    return {name: as_json(value)[:MOST_OF_NAME] for name, value in dict(properties).items()}


def _shown(kind: str, text: str, size: int) -> dict[str, Any]:
    return {"kind": kind, "text": text[:MOST], "size": size, "cut": len(text) > MOST}
