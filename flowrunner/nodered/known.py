"""Turns steps into what is known of a message behind them: of which kind it is, and what its values are called."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.values import (
    Built,
    Code,
    Computed,
    Constant,
    Kind,
    Template,
    Uncertain,
    Value,
    call,
    field_of,
    kind_of,
    name,
    option,
    parsed,
    rich,
    source,
    tree_of,
)

NOTHING: Mapping[str, Value] = {}
_PAYLOAD = name("payload").tree
Path = tuple[str | int, ...]

#: What comes of a payload in bytes, by the `Output` of `mqtt in`.
_RAW = frozenset({"auto", "auto-detect", "utf8", "json", "base64"})


@dataclass(frozen=True, slots=True)
class Known:
    """A message on its way.

    `raw` says as what bytes are still to be read (the `Output` of `mqtt in`); `payload` is a value that takes the place
    of the payload but has not been put there yet; `names` are the other properties. `parts` says what a `split`
    has taken apart (`list`, `text` and its separator, `map`).
    """

    kind: Kind = "any"
    raw: str = ""
    wants_fields: bool = False
    payload: Value | None = None
    topic: Value = field(default_factory=lambda: name("topic", "text"))
    qos: Value = Constant(0)
    retain: Value = Constant(False)
    names: Mapping[str, Value] = field(default_factory=dict)
    parts: tuple[str, str] | None = None
    is_in_error: bool = False
    is_answer: bool = False
    is_one_topic: bool = False

    def settled(self) -> tuple[Steps, "Known"]:
        """The steps that make the payload what it is in Node-RED, and what is known then."""
        if self.payload is not None:
            word = "text_" if "text" in self.names else "text"
            return placed(self.payload, word), replace(self, payload=None, kind=kind_of(self.payload))
        steps, kind = _decoded(self.raw, wants_fields=self.wants_fields)
        return steps, replace(self, raw="", kind=kind) if self.raw else self

    def readable(self) -> tuple[Steps, "Known"]:
        """The same where the payload is read and stays: a constant need not be put there."""
        return ([], self) if isinstance(self.payload, Constant) else self.settled()

    def value(self, path: Path) -> Value:
        """The value of a property of the message; settle it first. Raises Uncertain where it is not known."""
        first, *rest = path
        found = self._root(str(first), rest)
        if found is not None:
            return found
        raise Uncertain(f"`msg.{first}` is not known here")

    def _root(self, first: str, rest: list[str | int]) -> Value | None:
        if first == "payload":
            if rest and self.payload is None and (self.raw or self.kind == "bytes"):
                raise Uncertain("a field of a payload that is bytes")
            return _inside(self.payload or Computed(_PAYLOAD, self.kind), rest)
        if first == "topic":
            return _inside(self.topic, rest)
        if first in ("qos", "retain"):
            return _inside(self.qos if first == "qos" else self.retain, rest)
        if first in self.names:
            return _inside(self.names[first], rest)
        if first == "parts" and rest in (["index"], ["count"]) and self.parts:
            return name(str(rest[0]), "number")
        if first == "error" and self.is_in_error:
            known = {("message",): "error.message", ("source", "name"): "error.step", ("source", "id"): "error.step"}
            if text := known.get(tuple(map(str, rest))):
                return Computed(parsed(text), "text")
        if first == "statusCode" and self.is_answer:
            return Computed(parsed("response.status"), "number")
        if first == "headers" and self.is_answer and rest:
            return _inside(Computed(parsed("response.headers")), [str(rest[0]).lower(), *rest[1:]])
        return None

    def tree(self, path: Path) -> "Computed":
        """The same as an expression."""
        value = self.value(path)
        return value if isinstance(value, Computed) else Computed(tree_of(value), kind_of(value))

    def with_payload(self, value: Value) -> "Known":
        """With another payload, which is put there when it is needed."""
        return replace(self, payload=value, raw="", kind=kind_of(value))

    def replaced(self, kind: Kind) -> "Known":
        """Behind a step that made another payload."""
        return replace(self, payload=None, raw="", kind=kind)

    def named(self, word: str, value: Value) -> "Known":
        """With another property."""
        if word == "topic":
            return replace(self, topic=value)
        if word == "qos":
            return replace(self, qos=value)
        if word == "retain":
            return replace(self, retain=value)
        return replace(self, names={**self.names, word: value})

    def without(self, word: str) -> "Known":
        """Without a property."""
        return replace(self, names={key: value for key, value in self.names.items() if key != word})


def placed(value: Value, word: str = "text") -> Steps:
    """Steps that make a value the payload."""
    if isinstance(value, Template) or (isinstance(value, Computed) and value.spec):
        return [Step("let", {word: option(value)}), Step("map", Code(word))]
    if isinstance(made := rich(value), dict) and made:
        return [Step("map", made)]
    return [Step("map", source(tree_of(value)))]


def _decoded(raw: str, *, wants_fields: bool) -> tuple[Steps, Kind]:
    if raw not in _RAW:
        return [], "bytes"
    if raw == "json" or (raw == "auto-detect" and wants_fields):
        return [Step("json")], "data"
    if raw == "base64":
        return [Step("encode", "base64")], "text"
    if raw == "auto-detect":
        return [Step("decode", "utf-8"), Step("json", on_error="continue")], "data"
    return [Step("decode", "utf-8")], "text"


def _inside(value: Value, rest: list[str | int]) -> Value:
    """A field of a value."""
    if not rest:
        return value
    if rest[-1] == "length":
        return Computed(call("len", tree_of(_inside(value, rest[:-1]))), "number")
    if isinstance(value, Constant):
        found = value.value
        for key in rest:
            is_there = (isinstance(found, dict) and key in found) or (
                isinstance(found, list) and isinstance(key, int) and 0 <= key < len(found)
            )
            if not is_there:
                raise Uncertain(f"`{key}` is no field of a constant")
            found = found[key]
        return Constant(found)
    if isinstance(value, Built):
        if rest[0] not in value.fields:
            raise Uncertain(f"`{rest[0]}` is no field of that map")
        return _inside(value.fields[str(rest[0])], rest[1:])
    tree = tree_of(value)
    if kind_of(value) in ("text", "number", "bool"):
        raise Uncertain(f"`{rest[0]}` of a {kind_of(value)}")
    for key in rest:
        tree = field_of(tree, key)
    return Computed(tree)


_PART = re.compile(r"""\.?([A-Za-z_$][\w$]*)|\[(\d{1,6})\]|\[(["'])((?:(?!\3).)*)\3\]""")


def read_path(text: str) -> Path:
    """The keys of a property such as `payload.rooms[0]["the name"]`. Raises Uncertain."""
    text = text.strip().removeprefix("msg.")
    parts: list[str | int] = []
    place = 0
    while place < len(text):
        found = _PART.match(text, place)
        if not found or (found[1] and bool(parts) != text[place:].startswith(".")):
            raise Uncertain(f"the property `{text[:40]}`")
        parts.append(int(found[2]) if found[2] else found[1] or found[4])
        place = found.end()
    if not parts or not isinstance(parts[0], str):
        raise Uncertain(f"the property `{text[:40]}`")
    return tuple(parts)
