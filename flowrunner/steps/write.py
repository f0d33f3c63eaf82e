"""Turns a message into a line of a file: the step `write`."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowrunner.code import Block, Host
from flowrunner.codecs.faults import to_bytes
from flowrunner.codecs.textual import cell_of, csv_line
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope, Template
from flowrunner.fields import name_kind
from flowrunner.jsons import dumps
from flowrunner.memory import MOST_KEYS
from flowrunner.options import Choice, Integer, Kind, Place, Size, TemplateKind, ValueKind, option
from flowrunner.options.formats import ColumnNames
from flowrunner.options.maps import nothing_more, read_options
from flowrunner.outside.files import Files, Rotation
from flowrunner.read.nodes import Map, Node
from flowrunner.snippets import Hole
from flowrunner.step import Check, Step
from flowrunner.values import Value, templates_of

_ENDINGS = (".jsonl", ".ndjson", ".csv")
_PERIODS = ("hourly", "daily")


@dataclass(frozen=True, slots=True)
class Target:
    """A path with what is inserted into it; it begins in `folder`, where the flow lies."""

    template: Template
    folder: str


@dataclass(frozen=True)
class _TargetKind(Kind[Target]):
    """A path, relative to the flow's folder."""

    phrase: str = "a file that ends in .jsonl, .ndjson or .csv"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"\.([jJ][sS][oO][nN][lL]|[nN][dD][jJ][sS][oO][nN]|[cC][sS][vV])$"}

    def read(self, node: Node, place: Place) -> Target:
        template = TemplateKind(self.phrase).read(node, place)
        last = template.parts[-1] if template.parts else ""
        is_named = isinstance(last, str) and last.lower().endswith(_ENDINGS)
        if (
            not is_named
            or "\0" in template.passage.text
            or template.passage.text.rpartition("/")[2].lower() in _ENDINGS
        ):
            raise place.refuse(node, self.phrase)
        return Target(template, str(place.context.folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class _RotationKeys:
    """The keys of `rotate` written as a map."""

    size: int | None = option(Size(), "put the file aside before it grows larger than this", default=None)
    every: str | None = option(Choice(_PERIODS), "put it aside when another hour or day begins", default=None)
    keep: int | None = option(Integer(1), "how many old files are kept; without it all", default=None)


@dataclass(frozen=True)
class _RotationKind(Kind[Rotation]):
    """When a new file is begun."""

    phrase: str = "a size such as `10MB`, `hourly`, `daily`, or a map with `size`, `every` and `keep`"

    def schema(self) -> dict[str, Any]:
        size, keep = Size().schema(), Integer(1).schema()
        keys = {"size": size, "every": {"enum": list(_PERIODS)}, "keep": keep}
        return {
            "anyOf": [
                size,
                {"enum": list(_PERIODS)},
                {"type": "object", "properties": keys, "additionalProperties": False},
            ]
        }

    def read(self, node: Node, place: Place) -> Rotation:
        if isinstance(node, Map):
            inside = Place(place.context, "", "rotate", place.owner_span)
            keys = read_options(_RotationKeys, node, inside, nothing_more)
            if keys["size"] is None and keys["every"] is None:
                raise place.refuse(node, "a map with `size` or `every`")
            return Rotation(keys["size"], keys["every"], keys["keep"])
        word = place.scalar(node, self.phrase).text
        if word in _PERIODS:
            return Rotation(period=Choice(_PERIODS).read(node, place))  # type: ignore[arg-type]  # it is one of them
        return Rotation(size=Size().read(node, place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Step):
    """Append a line to a file: JSON Lines (`.jsonl`, `.ndjson`) or CSV (`.csv`), as its ending says.

    The path is relative to the folder of the flow. It may hold `${}`; what is inserted is a name, never a path: it
    holds no `/`, and is not `..`. Folders are made. A line of CSV is made of a map (or a list); the first line holds
    the names, those of the first message or those of `columns`. A field that has no column is a step error; line ends
    inside of a cell become blanks.

    A line is written whole, before the message goes on: a kill of the program loses none and leaves no half one. The
    disk gets it within a second: so much a power cut may cost. What such a cut leaves of a last line is moved into a
    file ending in `.torn` when the next line comes. With `rotate` a file is put aside under a name with the date.
    """

    KEY = "write"
    IS_OUTSIDE = True
    WRITES_FILES = True
    EXAMPLES = (
        """
        subscribe: sensors/+room/climate
        steps:
          - json
          - write: data/${room}.jsonl
        tests:
          - given: {topic: sensors/attic/climate, payload: {temperature: 21.5}}
            mocks: {write: null}
            expect: []
        """,
        """
        subscribe: sensors/+room/climate
        steps:
          - json
          - write:
              file: data/climate.csv
              value: {time: "${iso(now())}", room: "${room}", t: "${payload.temperature}"}
              rotate: {every: daily, keep: 30}
          - publish: written/${room}
        tests:
          - given: {topic: sensors/attic/climate, payload: {temperature: 21.5}}
            expect: {topic: written/attic, payload: {temperature: 21.5}}
            mocks: {write: null}
        """,
    )

    file: Target = option(_TargetKind(), "the path of the file", main=True)
    value: Value | None = option(ValueKind(), "what is written; without it the payload", default=None)
    columns: tuple[str, ...] | None = option(
        ColumnNames(), "for CSV: the names of the columns, in their order", default=None
    )
    rotate: Rotation | None = option(_RotationKind(), "when the file is put aside and a new one begun", default=None)

    @property
    def is_csv(self) -> bool:
        """Whether the lines are CSV, not JSON."""
        last = self.file.template.parts[-1]
        return isinstance(last, str) and last.lower().endswith(".csv")

    def parts(self) -> Iterator[Expression | Template]:
        yield self.file.template
        if self.value is not None:
            yield from templates_of(self.value)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if self.columns is not None and not self.is_csv:
            check.report.say("wrong-value", "`columns` is for files that end in `.csv`", self.at.key_span)
        if self.value is None and scope.names["payload"] == "bytes":
            helps = ("put `- json` or `- decode: utf-8` before this step",)
            check.report.say("bytes-payload", "the payload is still bytes here", self.at.key_span, helps=helps)
        return Step.check(self, scope, check)

    def emit(self, to: Block) -> None:
        template = self.file.template
        names = [to.text(replace(template, parts=(part,))) for part in template.parts if not isinstance(part, str)]
        value = to.name("payload") if self.value is None else to.value(self.value)
        holes: dict[str, Hole] = {
            "WRITER": to.bound(f"write_{to.writer.place_of(self)}", self.appender),
            "VALUE": value,
        }
        to.run("WRITER.append(VALUE, NAMES)", NAMES=to.pack(names), **holes)

    def appender(self, host: Host) -> "Appender":
        """What writes the lines in one version of the flow."""
        return Appender(self, host, host.share("files", Files))


class Appender:
    """Writes lines for one step."""

    def __init__(self, step: Write, host: Host, files: Files) -> None:
        self.files = files
        self.now = host.now
        self.rotation = step.rotate
        self.columns = step.columns
        self.append_line = self.append_csv if step.is_csv else self.append_json
        self.parts = [part if isinstance(part, str) else None for part in step.file.template.parts]
        self.folder = Path(step.file.folder)
        self.paths: dict[tuple[str, ...], Path] = {}

    def append(self, value: Any, names: tuple[str, ...]) -> None:
        """Write a line into the file that has these names in its path. Raises StepError."""
        self.append_line(self.paths.get(names) or self.path_with(names), value)

    def path_with(self, names: tuple[str, ...]) -> Path:
        """The path with names inserted. Raises StepError for what is no name, and for too many files."""
        for name in names:
            if not name or "/" in name or "\\" in name or "\0" in name:
                reason = "is empty" if not name else "holds a separator or NUL"
                raise StepError(f"what is inserted into the path {reason}: `{name[:40]}`", code="bad-path")
        given = iter(names)
        text = "".join(next(given) if part is None else part for part in self.parts)
        fixed = self.parts[0] if self.parts and self.parts[0] is not None else ""
        behind = text[fixed.rfind("/") + 1 :]
        if names and any(segment in {".", ".."} for segment in behind.split("/")):
            raise StepError(f"what is inserted makes a way out of the folder: `{text[:60]}`", code="bad-path")
        if len(self.paths) >= MOST_KEYS:
            raise StepError(f"this step has written {MOST_KEYS} different files, which is the most", code="bad-path")
        path = self.paths[names] = self.folder / text
        return path

    def append_json(self, path: Path, value: Any) -> None:
        """Write a line of JSON."""
        self.files.append(path, dumps(value) + b"\n", self.now(), rotation=self.rotation)

    def append_csv(self, path: Path, value: Any) -> None:
        """Write a line of CSV, below a first line with the names."""
        head = self.files.head_of(path)
        columns = self.columns_of(path, head) if head else self.columns
        if columns is None:
            columns = tuple(str(name) for name in value) if isinstance(value, Mapping) else ()
        line = to_bytes(csv_line([_on_one_line(cell) for cell in self.cells(value, columns)]), "CSV")
        begin = to_bytes(csv_line([_on_one_line(name) for name in columns]), "CSV") if columns else b""
        self.files.append(path, line, self.now(), rotation=self.rotation, head=begin)

    def columns_of(self, path: Path, head: bytes) -> tuple[str, ...]:
        """The columns that a file has. Raises StepError where they are not those of `columns`."""
        found = tuple(next(csv.reader([head.decode("utf-8-sig", "replace")]), ()))
        if self.columns is not None and found != self.columns:
            help = "move the file away, or give it these columns"
            raise StepError(f"`{path.name[:40]}` has other columns than `columns` says", code="bad-columns", help=help)
        return found

    def cells(self, value: Any, columns: tuple[str, ...]) -> list[Any]:
        """The cells of a line. Raises StepError for a field without a column, and for what is no line."""
        if isinstance(value, list):
            if columns and len(value) != len(columns):
                message = f"a line of {len(value)} cells does not fit {len(columns)} columns"
                raise StepError(message, code="bad-columns")
            return [cell_of(item) for item in value]
        if not isinstance(value, Mapping):
            raise StepError(f"a line of CSV is made of a map, this is {name_kind(value)}", code="not-a-map")
        given = {str(name): item for name, item in value.items()}
        if unknown := given.keys() - set(columns):
            help = "name all of them: `columns: [...]`; or choose with `pick`"
            raise StepError(f"the file has no column for `{min(unknown)[:40]}`", code="bad-columns", help=help)
        return [cell_of(given.get(name)) for name in columns]


def _on_one_line(cell: Any) -> Any:
    """A cell without line ends: a record is a line, or a torn one could not be told from a whole one."""
    return " ".join(cell.splitlines()) if isinstance(cell, str) else cell
