"""Turns a key into what a table holds under it: the step `lookup`."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from flowrunner.code import Block
from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope
from flowrunner.fields import few_names, name_kind, set_field
from flowrunner.options import ExpressionKind, FieldPath, Kind, Place, ValueKind, option
from flowrunner.read.document import plain, read_document
from flowrunner.read.nodes import Map, Node
from flowrunner.step import Check, Step
from flowrunner.text import Source
from flowrunner.values import Value, value_kind

Table = Mapping[str, Any]


@dataclass(frozen=True)
class _TableKind(Kind[Table]):
    """A map written in the flow."""

    phrase: str = "a map from keys to values"

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}

    def read(self, node: Node, place: Place) -> Table:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        table: Table = plain(node)
        return table


@dataclass(frozen=True)
class _TableFile(Kind[Table]):
    """A CSV, JSON or YAML file beside the flow."""

    phrase: str = "a file that ends in .csv, .json, .yaml or .yml"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"\.([cC][sS][vV]|[jJ][sS][oO][nN]|[yY][aA]?[mM][lL])$"}

    def read(self, node: Node, place: Place) -> Table:
        scalar = place.scalar(node, self.phrase)
        name, _, ending = scalar.text.lower().rpartition(".")
        if not name or ending not in {"csv", "json", "yaml", "yml"}:
            raise place.refuse(node, self.phrase)
        content = place.context.read_file(scalar.text, node.span)
        try:
            return _parse_table(content.decode("utf-8-sig"), ending)
        except UnicodeDecodeError as error:
            reason = f"it is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
        except (ValueError, csv.Error) as error:
            reason = str(error)[:100]
        message = f"the table `{scalar.text}` cannot be read"
        raise place.report.refuse(Diagnostic("bad-table", message, node.span, reason))


def _parse_table(text: str, ending: str) -> Table:
    """A table from a file's text. Raises ValueError, with the reason, for what is none."""
    if ending == "csv":
        return _parse_csv(text)
    if ending == "json":
        table = orjson.loads(text)
    else:
        node, mistakes = read_document(Source("table", text))
        if mistakes or node is None:
            raise ValueError(mistakes[0].message if mistakes else "it is empty")
        table = plain(node)
    if not isinstance(table, dict):
        raise ValueError(f"it holds {name_kind(table)}, not a map")  # noqa: TRY004 - the caller reports it
    return table


def _parse_csv(text: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    head = next((row for row in reader if row), None)
    if head is None:
        raise ValueError("it is empty")
    if len(head) < 2:
        is_other = ";" in head[0] or "\t" in head[0]
        raise ValueError("a comma must stand between two cells" if is_other else "it has one column, without values")
    table: dict[str, Any] = {}
    for row in filter(None, reader):
        if len(row) != len(head):
            raise ValueError(f"line {reader.line_num} has {len(row)} cells, the first has {len(head)}")
        if row[0] in table:
            raise ValueError(f"line {reader.line_num} has the key `{row[0][:_LONGEST_KEY]}` again")
        table[row[0]] = row[1] if len(head) == 2 else dict(zip(head[1:], row[1:], strict=True))
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Step):
    """Look a key up in a table.

    The table stands in the flow (`table:`) or in a file beside it (`file:`): JSON or YAML hold a map; CSV has a first
    line with names, and its first column is the key: with two columns the value is the second one, with more it is a
    map of the others. A number is looked up as its text. What is found becomes the payload, or with `as` a field of it.
    A key that is not in the table is a step error, unless there is a `default`.
    """

    KEY = "lookup"
    EXAMPLES = (
        """
        subscribe: sensors/+id
        steps:
          - json
          - lookup: {key: id, table: {a1: kitchen, b2: attic}, as: room, default: unknown}
          - publish: rooms/${payload.room}
        tests:
          - given: [{topic: sensors/b2, payload: {t: 20}}, {topic: sensors/zz, payload: {t: 1}}]
            expect: [{topic: rooms/attic}, {topic: rooms/unknown}]
        """,
    )

    key: Expression = option(ExpressionKind(), "what to look up")
    table: Table | None = option(_TableKind(), "the table, as a map", default=None)
    file: Table | None = option(_TableFile(), "a file with the table: .csv, .json, .yaml", default=None)
    into: tuple[str, ...] = option(
        FieldPath(), "the field for what is found; without it the payload", name="as", default=()
    )
    default: Value | None = option(ValueKind(), "the value for a key that is not in the table", default=None)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if (self.table is None) == (self.file is None):
            message = "`lookup` needs `table` or `file`, and not both"
            check.report.say("missing-key", message, self.at.key_span)
        for part in self.parts():
            check.part(part, scope)
        return self.after(scope)

    def after(self, scope: Scope) -> Scope:
        kind = value_kind(self.default, scope) if self.default else "data"
        is_plain = kind in {"text", "data"} and (not self.into or scope.names["payload"] == "data")
        return scope.with_(payload="data" if is_plain else "any")

    def emit(self, to: Block) -> None:
        table = self.table if self.table is not None else self.file
        holes = {"FIND": to.helper(find), "TABLE": to.constant(table), "KEY": to.value(self.key)}
        if self.default is None:
            found = to.expression("FIND(TABLE, KEY)", **holes)
        else:
            holes |= {"MISSING": to.shared("missing", _MISSING), "DEFAULT": to.value(self.default)}
            found = to.expression("DEFAULT if (_found := FIND(TABLE, KEY, MISSING)) is MISSING else _found", **holes)
        if self.into:
            holes = {"SET": to.helper(set_field), "PATH": to.constant(self.into), "FOUND": found}
            found = to.expression("SET(payload, PATH, FOUND)", **holes)
        to.run("payload = FOUND", FOUND=found)


_NO_DEFAULT, _MISSING = object(), object()
_LONGEST_KEY = 40  # characters that an error shows


def find(table: Table, key: Any, default: Any = _NO_DEFAULT) -> Any:
    """The value under a key. Raises StepError where it is missing and there is no default."""
    if isinstance(key, bool | float | int):
        key = str(key).lower() if isinstance(key, bool) else str(key)
    if not isinstance(key, str):
        raise StepError(f"the key to look up is {name_kind(key)}, not a text or number", code="wrong-value")
    value = table.get(key, default)
    if value is _NO_DEFAULT:
        names = few_names(table)
        near = suggest(key, names) if len(key) <= _LONGEST_KEY else ""
        help = f"did you mean `{near}`?" if near else f"the table has {name_list(names)}" if names else ""
        raise StepError(f"the table has no key `{key[:_LONGEST_KEY]}`", code="not-in-table", help=help)
    return value
