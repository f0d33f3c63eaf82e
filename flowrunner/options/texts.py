"""Turns texts that hold no expression into checked values: words, field names, patterns, topic filters."""

import codecs
import re
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.expressions import RESERVED
from flowrunner.expressions.texts import BadPattern, Pattern, compile_pattern
from flowrunner.options.kind import TEXT_TYPES, Kind, Place, did_you_mean
from flowrunner.read.nodes import List, Node
from flowrunner.records import dataclass
from flowrunner.report import Refused
from flowrunner.text import Passage
from flowrunner.topics import BadTopic, Filter, parse_filter


@dataclass(frozen=True, slots=True)
class Text(Kind[str]):
    """A text in which nothing is inserted."""

    phrase: str = "a text"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES}

    def read(self, node: Node, place: Place) -> str:
        return place.scalar(node, self.phrase).text


@dataclass(frozen=True, slots=True)
class Choice(Kind[str]):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def phrase(self) -> str:  # type: ignore[override]  # a property stands in for the attribute
        shown = [f"`{word}`" for word in self.words]
        return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}

    def choices(self) -> tuple[str, ...]:
        return self.words

    def read(self, node: Node, place: Place) -> str:
        scalar = place.scalar(node, self.phrase)
        if scalar.text in self.words:
            return scalar.text
        label = "" if isinstance(scalar.value, str) else None
        raise place.refuse(node, self.phrase, help=did_you_mean(scalar.text, self.words), label=label)


@dataclass(frozen=True, slots=True)
class ConnectionName(Kind[str]):
    """The name of a connection in `flowrunner.yaml`; `default` is always there."""

    phrase: str = "the name of a connection"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES}

    def read(self, node: Node, place: Place) -> str:
        name = place.scalar(node, self.phrase).text
        known = place.context.connections
        if name in known:
            return name
        help = did_you_mean(name, tuple(known)) or f"`flowrunner.yaml` has {name_list(list(known))}"
        message = f"there is no connection `{name}`"
        raise place.report.refuse(Diagnostic("unknown-connection", message, node.span, helps=(help,)))


@dataclass(frozen=True, slots=True)
class TextFormat(Kind[str]):
    """One of a few formats, or the name of a text encoding that Python knows."""

    formats: tuple[str, ...]
    phrase: str = "a format such as `utf-8`"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES, "examples": ["utf-8", "latin-1", "ascii", "utf-16", *self.formats]}

    def choices(self) -> tuple[str, ...]:
        return ("utf-8", "latin-1", "ascii", "utf-16", "cp1252", *self.formats)

    def read(self, node: Node, place: Place) -> str:
        word = place.scalar(node, self.phrase).text
        if word in self.formats:
            return word
        try:
            found = codecs.lookup(word)
        except (LookupError, ValueError):  # ValueError: a NUL in the name
            found = None
        # `hex`, `zlib` and `rot13` are codecs of Python's too, but not of text; `idna`, `punycode` are not for payloads
        if found is not None and found._is_text_encoding and found.name not in _NOT_FOR_PAYLOADS:  # noqa: SLF001
            return found.name
        message = f"there is no format `{word}`"
        near = did_you_mean(word, self.choices())
        helps = (near or f"formats are {name_list(self.choices())}",)
        raise place.report.refuse(Diagnostic("unknown-format", message, node.span, helps=helps))


_NOT_FOR_PAYLOADS = {"idna", "punycode", "undefined", "raw-unicode-escape", "unicode-escape", "mbcs", "oem"}


@dataclass(frozen=True, slots=True)
class FieldPath(Kind[tuple[str, ...]]):
    """The name of a field; dots reach inside (`room.temperature`)."""

    phrase: str = "the name of a field"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES}

    def read(self, node: Node, place: Place) -> tuple[str, ...]:
        return field_path(node, place.scalar(node, self.phrase).text, place)


def field_path(node: Node, text: str, place: Place) -> tuple[str, ...]:
    """The keys on the way to a field. Raises Refused where a name is empty or `payload.` stands before it."""
    parts = tuple(text.split("."))
    if text.startswith("payload.") and len(parts) > 1:
        help = f"write `{text.removeprefix('payload.')}`"
        message = f"{place.subject} names fields of the payload: leave out `payload.`"
        raise place.report.refuse(Diagnostic("wrong-value", message, node.span, helps=(help,)))
    if "" in parts:
        raise place.refuse(node, "the name of a field; dots reach inside, as in `room.temperature`")
    return parts


@dataclass(frozen=True, slots=True)
class FieldPaths(Kind[tuple[tuple[str, ...], ...]]):
    """A list of field names."""

    phrase: str = "a list of field names"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": TEXT_TYPES}, "minItems": 1}

    def read(self, node: Node, place: Place) -> tuple[tuple[str, ...], ...]:
        if not isinstance(node, List) or not node.items:
            raise place.refuse(node, self.phrase, help="for one field write a list of one: `[name]`")
        return tuple(FieldPath().read(item, place) for item in node.items)


@dataclass(frozen=True, slots=True)
class PatternKind(Kind[Pattern]):
    """A regular expression that must match the whole text; it runs in linear time."""

    phrase: str = "a regular expression"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES}

    def read(self, node: Node, place: Place) -> Pattern:
        scalar = place.scalar(node, self.phrase)
        try:
            return compile_pattern(scalar.text)
        except BadPattern as bad:
            start = bad.position if bad.position is not None else 0
            span = scalar.passage.span(start, start + 1) if bad.position is not None else node.span
            raise place.report.refuse(Diagnostic("bad-pattern", bad.message, span)) from None


@dataclass(frozen=True, slots=True)
class TopicFilter(Kind[Filter]):
    """A topic filter (MQTT 5.0 section 4.7); `+name` and `#name` give levels a name."""

    phrase: str = "a topic filter"

    def schema(self) -> dict[str, Any]:
        return {"type": TEXT_TYPES, "minLength": 1, "examples": ["sensors/+room/climate", "house/#"]}

    def read(self, node: Node, place: Place) -> Filter:
        scalar = place.scalar(node, self.phrase)
        try:
            return parse_filter(scalar.text, named=True, reserved=RESERVED)
        except BadTopic as bad:
            raise refuse_topic(bad, scalar.passage, place, code="bad-topic-filter") from None


def refuse_topic(bad: BadTopic, passage: Passage, place: Place, *, code: str) -> Refused:
    """Report a fault in a topic or filter at its place in the file."""
    return place.report.refuse(topic_diagnostic(bad, passage, code=code))


def topic_diagnostic(bad: BadTopic, passage: Passage, *, code: str) -> Diagnostic:
    """A fault in a topic or filter as a diagnostic."""
    span = passage.span(bad.start, bad.end)
    return Diagnostic(code, bad.message, span, bad.label, helps=(bad.help,) if bad.help else ())


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def near_name(word: str) -> str:
    """A name made of a text that is none: `room-1` gives `room_1`."""
    made = re.sub(r"\W+", "_", word.strip(), flags=re.ASCII).strip("_")
    return made if NAME.match(made) else suggest(word, ()) or f"x_{made}".rstrip("_")
