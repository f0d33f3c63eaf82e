"""Turns the name of a format, and how CSV is written, into checked values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.codecs import CODECS, CsvOptions
from flowrunner.options.extras import need
from flowrunner.options.kind import Kind, Place
from flowrunner.options.numbers import Bool
from flowrunner.options.texts import Text, TextFormat
from flowrunner.read.nodes import List, Node
from flowrunner.report import Report
from flowrunner.text import Span

FORMATS = ("json", *CODECS)


@dataclass(frozen=True)
class PayloadFormat(TextFormat):
    """A format that payloads are written in, or the name of a text encoding."""

    formats: tuple[str, ...] = FORMATS
    phrase: str = "a format such as `json`, or a text encoding such as `utf-8`"

    def read(self, node: Node, place: Place) -> str:
        format = super().read(node, place)
        if format in CODECS and (package := CODECS[format].package):
            need(package, "codecs", f"`{place.owner}: {format}`", node.span, place)
        return format


@dataclass(frozen=True)
class Delimiter(Kind[str]):
    """The character between two cells."""

    phrase: str = "one character such as `;`, or `tab`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": '^(tab|[^\\r\\n"])$'}

    def read(self, node: Node, place: Place) -> str:
        scalar = place.scalar(node, self.phrase)
        if scalar.text == "tab":
            return "\t"
        if len(scalar.text) != 1 or scalar.text in '\r\n"' or not isinstance(scalar.value, str):
            raise place.refuse(node, self.phrase)
        return scalar.text


@dataclass(frozen=True)
class ColumnNames(Kind[tuple[str, ...]]):
    """The names of columns."""

    phrase: str = "a list of names, each of them once"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": Text().schema(), "minItems": 1, "uniqueItems": True}

    def read(self, node: Node, place: Place) -> tuple[str, ...]:
        if not isinstance(node, List):
            raise place.refuse(node, self.phrase)
        names = tuple(Text("a name").read(item, place) for item in node.items)
        if not names or len(set(names)) < len(names):
            raise place.refuse(node, self.phrase)
        return names


@dataclass(frozen=True)
class Header(Kind[bool | tuple[str, ...]]):
    """Whether the first line holds names, or the names where it does not."""

    phrase: str = "`true`, `false`, or a list of names"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, ColumnNames().schema()]}

    def read(self, node: Node, place: Place) -> bool | tuple[str, ...]:
        kind = ColumnNames() if isinstance(node, List) else Bool(self.phrase)
        return kind.read(node, place)


def check_csv(report: Report, format: str, given: Mapping[str, object], span: Span) -> None:
    """Report options of CSV beside another format."""
    for name, value in given.items():
        if value is not None and format != "csv":
            report.say("wrong-value", f"`{name}` goes with `csv`, not with `{format}`", span)


def csv_options(delimiter: str | None, header: bool | tuple[str, ...] | None) -> CsvOptions:  # noqa: FBT001
    """How CSV is written; None is as usual."""
    usual = CsvOptions()
    return CsvOptions(delimiter or usual.delimiter, usual.header if header is None else header)
