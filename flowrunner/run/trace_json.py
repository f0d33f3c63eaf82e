"""Turns what was seen of a message on its way through a flow into an object for other programs."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.diagnostics import as_json as diagnostic_as_json
from flowrunner.expressions.evaluate import UNKNOWN
from flowrunner.message import Message
from flowrunner.run.rehearsal import Note, Trace
from flowrunner.run.visits import Visit
from flowrunner.step import line_of


def trace_as_json(trace: Trace, visits: list[Visit]) -> dict[str, Any]:
    """An object with `flow`, `given`, `steps`, `published`, `errors`, `lasted` (s) and `is_cut_short`."""
    notes = [note for note in trace.seen if isinstance(note, Note)]
    return {
        "flow": trace.flow.name,
        "given": message_as_json(trace.arrival.message),
        "steps": [visit_as_json(visit) for visit in visits],
        "published": [_published(note) for note in notes if note.kind == "published"],
        "errors": [diagnostic_as_json(note.about["error"]) for note in notes if note.kind == "failed"],
        "lasted": trace.lasted,
        "is_cut_short": trace.is_cut_short,
    }


def visit_as_json(visit: Visit, frame: Callable[[Diagnostic], str] | None = None) -> dict[str, Any]:
    """An object for a step that a message came to: what it changed, what it did, and how it ended.

    With `frame`, which draws one, mistakes come with their frames.
    """
    step, place = visit.place.step, visit.place
    span = step.at.key_span
    way = {"way": place.way} if place.way else {}
    if place.condition is not None:
        way["condition"] = place.condition.passage.text
    return {
        "step": place.name,
        "kind": step.KEY,
        "text": line_of(step),
        "file": span.source.name,
        "line": span.line,
        "depth": place.depth,
        **way,
        "at": visit.at,
        "result": result_of(visit),
        **({"reason": visit.ends or visit.remark} if visit.ends or visit.remark else {}),
        **({"read": {name: plain(value) for name, value in visit.facts}} if visit.facts else {}),
        "changes": [
            {"name": change.name} | _known("old", change.old) | _known("new", change.new) for change in visit.changes
        ],
        "effects": [_effect(note, frame) for note in visit.notes],
    }


def result_of(visit: Visit) -> str:
    """How a visit ended: `skipped`, `failed`, `later` (a held message goes on), `passed` or `ended`."""
    if visit.is_skipped:
        return "skipped"
    if any(note.kind in {"failed", "handled", "tried"} for note in visit.notes):
        return "failed"
    if visit.is_later:
        return "later"
    return "passed" if visit.is_out else "ended"


def message_as_json(message: Message) -> dict[str, Any]:
    """A message in the words of `tests:`; bytes that are no text as `payload_base64`."""
    shown: dict[str, Any] = {"topic": message.topic} | _bytes("payload", message.payload)
    shown |= {"qos": message.qos, "retain": message.retain}
    properties: dict[str, Any] = {}
    for name, value in message.properties.items():
        properties |= _bytes(name, value) if isinstance(value, bytes) else {name: plain(value)}
    return shown | ({"properties": properties} if properties else {})


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes as a map with `bytes`, the text of what is no JSON."""
    match value:
        case bytes():
            return _bytes("bytes", value)
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else repr(value)
    return repr(value)


def _effect(note: Note, frame: Callable[[Diagnostic], str] | None) -> dict[str, Any]:
    match note.kind:
        case "published":
            return {"published": _published(note)}
        case "failed" | "handled" | "tried":
            found: Diagnostic = note.about["error"]
            return {note.kind: diagnostic_as_json(found) | ({} if frame is None else {"frame": frame(found)})}
    return {note.kind: dict(note.about)}


def _published(note: Note) -> dict[str, Any]:
    connection = note.about["connection"]
    named = {} if connection == "default" else {"connection": connection}
    return message_as_json(note.about["message"]) | named | {"at": note.at}


def _known(name: str, value: Any) -> dict[str, Any]:
    return {} if value is UNKNOWN else {name: plain(value)}


def _bytes(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}
