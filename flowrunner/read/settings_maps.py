"""Turns the maps and lists of `flowrunner.yaml` into checked ones, or into diagnostics."""

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label, name_list, suggest
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.settings_kinds import Kind, Place, is_empty
from flowrunner.records import dataclass
from flowrunner.report import Refused
from flowrunner.text import Span


@dataclass(frozen=True, slots=True)
class Setting:
    """A key: the kind of its value, what it is for, and what its value sets (the field of its own name, if None)."""

    kind: Kind
    prose: str
    sets: Callable[[Any], dict[str, Any]] | None = None
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class VariableNames(Kind):
    """A list of names of environment variables."""

    phrase: str = "a list of names, such as `[SITE]`"

    def schema(self) -> dict[str, Any]:
        """A list of names."""
        return {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}}

    def read(self, node: Node, place: Place) -> tuple[str, ...]:
        """The names."""
        if is_empty(node):
            return ()
        if not isinstance(node, List):
            help = f"write `{place.key}: [{node.text}]`" if isinstance(node, Scalar) and _is_name(node.text) else ""
            raise place.refuse(node, self.phrase, *([help] if help else []))
        return tuple(name for item in node for name in self.name(item, place))

    def name(self, item: Node, place: Place) -> tuple[str, ...]:
        """The name, unless it is none."""
        if isinstance(item, Scalar) and _is_name(item.text) and isinstance(item.value, str):
            return (item.text,)
        message = f"a name in `{place.key}` must consist of letters, digits and `_`"
        place.report.say("wrong-value", message, item.span.first_line())
        return ()


@dataclass(frozen=True, slots=True)
class Value(Kind):
    """Any value; every text in it may hold `${...}`."""

    phrase: str = "a value"

    def schema(self) -> dict[str, Any]:
        """Anything."""
        return {}

    def read(self, node: Node, place: Place) -> Any:
        """The ordinary Python value."""
        if isinstance(node, Map):
            return {entry.key.text: self.read(entry.value, place.inside(entry.key)) for entry in node}
        if isinstance(node, List):
            return [self.read(item, place) for item in node]
        return place.fill(node, self.phrase).text if isinstance(node.value, str) else node.value


@dataclass(frozen=True, slots=True)
class MapOf(Kind):
    """A map from names to values of one kind."""

    kind: Kind
    phrase: str
    names: str = "a name"
    is_name: Callable[[str], bool] = bool
    helps: Callable[[Node], tuple[str, ...]] = field(default=lambda _: ())
    instead: Callable[[str], Any] = field(default=lambda _: None)
    """What stands for a value that was refused, so that flows that name it are not wrong because of it."""

    def schema(self) -> dict[str, Any]:
        """A map."""
        return {"type": "object", "additionalProperties": self.kind.schema()}

    def read(self, node: Node, place: Place) -> dict[str, Any]:
        """The values, by name."""
        if is_empty(node):
            return {}
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase, *self.helps(node))
        found: dict[str, Any] = {}
        for entry in node:
            if not self.is_name(entry.key.text):
                message = f"a key of `{place.key}` must be {self.names}"
                place.report.say("wrong-value", message, entry.key.span.first_line())
                continue
            try:
                found[entry.key.text] = self.kind.read(entry.value, place.inside(entry.key))
            except Refused:
                found[entry.key.text] = self.instead(entry.key.text)
        return found


@dataclass(frozen=True, slots=True)
class Record(Kind):
    """A map with certain keys."""

    settings: Mapping[str, Setting]
    phrase: str
    foreign: Callable[[str], str] = field(default=lambda _: "")
    """What to say of a key that belongs elsewhere; empty where it is simply unknown."""

    def schema(self) -> dict[str, Any]:
        """A map with these keys."""
        properties = {key: {"description": of.prose, **of.kind.schema()} for key, of in self.settings.items()}
        required = [key for key, of in self.settings.items() if of.is_required]
        closed = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**closed, "required": required} if required else closed

    def read(self, node: Node, place: Place) -> dict[str, Any]:
        """The values that could be read, by key."""
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        found: dict[str, Any] = {}
        for entry in node:
            if not (setting := self.settings.get(entry.key.text)):
                self.unknown(entry.key, place)
                continue
            try:
                found[entry.key.text] = setting.kind.read(entry.value, place.inside(entry.key))
            except Refused:
                continue
        for key, setting in self.settings.items():
            if setting.is_required and not node.get(key):
                place.report.say("missing-key", f"`{place.key}` needs `{key}`", place.span or node.span.first_line())
        return found

    def unknown(self, key: Scalar, place: Place) -> None:
        """Report a key that is none of these."""
        owner = f"`{place.key}` has no key" if place.key else "settings have no key"
        shown = key.text if len(key.text) <= 24 else f"{key.text[:23]}…"
        near = suggest(key.text, self.settings)
        help = (
            f"did you mean `{near}`?" if near else self.foreign(key.text) or f"there are {name_list([*self.settings])}"
        )
        place.report.say("unknown-key", f"{owner} `{shown}`", key.span.first_line(), helps=(help,))


def given_twice(key: Span, url: Span, message: str, label: str) -> Diagnostic:
    """For a value that a key gives although the address holds it already."""
    return Diagnostic(
        "given-twice", message, key, labels=(Label(url.first_line(), label),), helps=("remove one of the two",)
    )


def _is_name(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text))
