"""Turns the values of `flowrunner.yaml` into checked ones, or into diagnostics."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowrunner.address import BadAddress, parse_address
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic, Label, name_list, suggest
from flowrunner.quantities import DURATION_PATTERN, BadQuantity, parse_duration
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.settings_text import BadHole, Filled, fill
from flowrunner.read.yaml_mistakes import explain_map_for_text, explain_null
from flowrunner.report import Refused, Report
from flowrunner.text import Span

_WITH_HOLE = {"type": "string", "pattern": r"\$\{[\s\S]*\}"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: under which key, and what its texts may ask for."""

    key: str
    report: Report
    environment: Mapping[str, str]
    folder: Path
    span: Span | None = None
    is_url_given: bool = False
    """Whether the address of the default connection comes from elsewhere."""

    def inside(self, key: Scalar) -> "Place":
        """The place of a key inside this one."""
        return replace(self, key=key.text, span=key.span.first_line())

    def refuse(self, node: Node, phrase: str, *helps: str) -> Refused:
        """Report that the value must be something else."""
        explained = explain_null(node.span) if isinstance(node, Scalar) and node.value is None else None
        if isinstance(node, Map):
            explained = explain_map_for_text(node)
        message = f"`{self.key}` must be {phrase}"
        plain = Diagnostic("wrong-value", message, node.span.first_line(), describe(node), helps=helps)
        return self.report.refuse(explained or plain)

    def fill(self, node: Node, phrase: str) -> Filled:
        """The text of a scalar, with everything inserted."""
        if not isinstance(node, Scalar) or (node.value is None and node.style == "plain"):
            raise self.refuse(node, phrase)
        try:
            return fill(node.passage, environment=self.environment, folder=self.folder)
        except BadHole as bad:
            self.report.extend(bad.diagnostics)
            raise Refused from None


def is_empty(node: Node) -> bool:
    """Whether a key was left without a value, as where all entries below it are commented out."""
    return isinstance(node, Scalar) and not node.text and node.style == "plain" and explain_null(node.span) is None


def describe(node: Node) -> str:
    """What a value is, as a label: `this is a text`."""
    if not isinstance(node, Scalar):
        return "this is a map" if isinstance(node, Map) else "this is a list"
    if node.value is None:
        return "nothing stands here" if not node.text else "this is null"
    if isinstance(node.value, bool):
        return f"this is {node.text}"
    return "this is a text" if isinstance(node.value, str) else "this is a number"


class Kind(ABC):
    """A kind of setting. `phrase` completes "must be ..."."""

    phrase: str

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 7) of the value."""

    @abstractmethod
    def read(self, node: Node, place: Place) -> Any:
        """The checked value. Raises Refused when it cannot be used; the mistake is in the report then."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A key: the kind of its value, what it is for, and what its value sets (the field of its own name, if None)."""

    kind: Kind
    prose: str
    sets: Callable[[Any], dict[str, Any]] | None = None
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """A text; numbers and bools are taken as they are written."""

    phrase: str = "a text"
    least: int = 0

    def schema(self) -> dict[str, Any]:
        """A text, or what is taken for one."""
        return {"type": ["string", "number", "boolean"]}

    def read(self, node: Node, place: Place) -> str:
        """The text; MQTT carries no NUL and 65 535 bytes at most (MQTT 5.0 section 1.5.4)."""
        text = place.fill(node, self.phrase).text
        if len(text) < self.least:
            raise place.refuse(node, "a text that is not empty")
        if "\0" in text or len(text.encode("utf-8", "surrogatepass")) > 65_535:
            raise place.refuse(node, "a text of at most 65535 bytes, without NUL")
        return text


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def phrase(self) -> str:  # type: ignore[override]  # a property stands in for the attribute
        """All the words."""
        return " or ".join([", ".join(f"`{word}`" for word in self.words[:-1]), f"`{self.words[-1]}`"])

    def schema(self) -> dict[str, Any]:
        """The words; one that looks like a number may be written as one."""
        numbers = [int(word) for word in self.words if word.isdecimal()]
        return {"anyOf": [{"enum": [*self.words, *numbers]}, _WITH_HOLE]}

    def read(self, node: Node, place: Place) -> str:
        """The word."""
        filled = place.fill(node, self.phrase)
        if filled.text in self.words:
            return filled.text
        near = suggest(filled.text, self.words) if filled.is_constant else ""
        raise place.refuse(node, self.phrase, *([f"did you mean `{near}`?"] if near else []))


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """Seconds, from `least` to `most`."""

    example: str
    least: float = 0
    most: float = 4_294_967_294
    is_whole: bool = False

    @property
    def phrase(self) -> str:  # type: ignore[override]  # a property stands in for the attribute
        """With an example."""
        return f"a duration such as `{self.example}`"

    def schema(self) -> dict[str, Any]:
        """A number and a unit."""
        return {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, _WITH_HOLE]}

    def read(self, node: Node, place: Place) -> float:
        """The seconds."""
        filled = place.fill(node, self.phrase)
        try:
            seconds = parse_duration(filled.text)
        except BadQuantity as bad:
            if not filled.is_constant:
                raise place.refuse(node, self.phrase) from None
            helps = (bad.help,) if bad.help else ()
            raise place.report.refuse(Diagnostic("bad-duration", bad.message, node.span, helps=helps)) from None
        if not self.least <= seconds <= self.most or (self.is_whole and seconds != int(seconds)):
            whole = "whole seconds, " if self.is_whole else ""
            message = f"`{place.key}` must be {whole}from {self.least:g}s to {self.most:.0f}s"
            raise place.report.refuse(Diagnostic("wrong-value", message, node.span))
        return seconds


@dataclass(frozen=True, slots=True)
class Certificate(Kind):
    """The path of a file that is there, relative to the settings file."""

    phrase: str = "the path of a file"

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string"}

    def read(self, node: Node, place: Place) -> str:
        """The path, from where flowrunner runs."""
        path = place.folder / place.fill(node, self.phrase).text
        try:
            is_there = path.is_file()
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            message = f"the file of `{place.key}` is not there"
            helps = ("a relative path begins at the folder of this file",)
            raise place.report.refuse(Diagnostic("unreadable-file", message, node.span.first_line(), helps=helps))
        return str(path)


@dataclass(frozen=True, slots=True)
class Address(Kind):
    """The address of a broker."""

    phrase: str = "an address such as `mqtt://localhost:1883`"

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string", "examples": ["mqtt://localhost:1883", "mqtts://broker.example.org"]}

    def read(self, node: Node, place: Place) -> ConnectionSettings:
        """What the address says of the connection."""
        filled = place.fill(node, self.phrase)
        try:
            return parse_address(filled.text)
        except BadAddress as bad:
            raise place.report.refuse(bad_address(bad, filled.passage.span(bad.start, bad.end))) from None


def bad_address(bad: BadAddress, span: Span) -> Diagnostic:
    """For an address that cannot be used; `span` is the faulty part."""
    return Diagnostic("bad-address", bad.message, span.first_line(), helps=(bad.help,) if bad.help else ())


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
