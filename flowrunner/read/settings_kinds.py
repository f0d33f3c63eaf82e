"""Turns the single values of `flowrunner.yaml` into checked ones, or into diagnostics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from flowrunner.address import BadAddress, parse_address
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic, suggest
from flowrunner.quantities import DURATION_PATTERN, BadQuantity, parse_duration
from flowrunner.read.nodes import Map, Node, Scalar
from flowrunner.read.settings_text import BadHole, Filled, fill
from flowrunner.read.yaml_mistakes import explain_map_for_text, explain_null
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.text import Span

WITH_HOLE = {"type": "string", "pattern": r"\$\{[\s\S]*\}"}


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
    files: list[Path] = field(default_factory=list)
    """The files that were asked for, also those that are not there."""

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
            return fill(node.passage, environment=self.environment, folder=self.folder, files=self.files)
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
        return {"anyOf": [{"enum": [*self.words, *numbers]}, WITH_HOLE]}

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
        return {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, WITH_HOLE]}

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
        place.files.append(path)
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
