"""Turns a statement of SQL into one that is known to be right, and whose parameters have names."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.options.kind import Kind, Place
from flowrunner.options.texts import Text
from flowrunner.read.nodes import Node, Scalar

#: Texts, names in quotes and comments, in which nothing is a parameter; and parameters.
_TOKENS = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?(?:\*/|$)
        | (?P<named>[:@$][A-Za-z_]\w*) | (?P<unnamed>\?\d*)""",
    re.VERBOSE | re.DOTALL,
)


_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
#: Statements that begin or end a transaction, or that must not be in one.
_NOT_INSIDE = {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "VACUUM", "ATTACH", "DETACH", "PRAGMA"}


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, and the names of its parameters."""

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class QueryKind(Kind[Query]):
    """One statement of SQL. Values never become part of its text: they go through parameters."""

    phrase: str = "a statement of SQL with parameters such as `:room`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "examples": ["INSERT INTO climate VALUES (:room, :t)"]}

    def read(self, node: Node, place: Place) -> Query:
        scalar = place.scalar(node, self.phrase)
        if not isinstance(scalar.value, str) or not scalar.text.strip():
            raise place.refuse(node, self.phrase)
        names = tuple(dict.fromkeys(self.names_in(scalar, place)))
        if fault := fault_in(scalar.text, names):
            start = scalar.text.find(fault[1]) if fault[1] else -1
            span = scalar.passage.span(start, start + len(fault[1])) if start >= 0 else node.span.first_line()
            raise place.report.refuse(Diagnostic("bad-sql", fault[0], span.first_line()))
        return Query(scalar.text, names)

    def names_in(self, scalar: Scalar, place: Place) -> Iterator[str]:
        """The names of the parameters. Raises Refused for one without a name, and for `${}`."""
        start = scalar.text.find("${")
        if start >= 0:
            message, helps = (
                "nothing is inserted into a statement",
                ("write `:name` here, and give it below `values:`",),
            )
            span = scalar.passage.span(start, start + 2)
            raise place.report.refuse(Diagnostic("bad-sql", message, span, "values go through parameters", helps=helps))
        for found in _TOKENS.finditer(scalar.text):
            if found["unnamed"]:
                span = scalar.passage.span(*found.span())
                helps = ("write `:name` here, and give it below `values:`",)
                raise place.report.refuse(Diagnostic("bad-sql", "a parameter must have a name", span, helps=helps))
            if found["named"]:
                yield found["named"][1:]


def fault_in(text: str, names: tuple[str, ...]) -> tuple[str, str] | None:
    """What SQLite says against a statement as such, and the part that it names; which tables there are counts not."""
    first = _COMMENTS.sub("", text).split(maxsplit=1)
    if first and first[0].upper().rstrip(";") in _NOT_INSIDE:
        return f"`{first[0].upper()}` cannot be used: every statement is part of a transaction", first[0]
    database = sqlite3.connect(":memory:")
    try:
        database.execute(f"EXPLAIN {text}", dict.fromkeys(names))
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        return words_for(str(error))
    finally:
        database.close()
    return None


def words_for(reason: str) -> tuple[str, str] | None:
    """A reason of SQLite's in our words, with the part of the statement that it names."""
    if "one statement" in reason:
        return "`query` must be one statement", ";"
    if found := re.match(r'near "(.+)": syntax error', reason, re.DOTALL):
        return f"this is no SQL: unexpected `{found[1][:40]}`", found[1]
    if "incomplete input" in reason:
        return "this statement ends too early", ""
    if "unrecognized token" in reason:
        token = reason.partition('"')[2].rpartition('"')[0]
        return f"this is no SQL: unexpected `{token[:40]}`", token
    return None


@dataclass(frozen=True)
class TableName(Kind[str]):
    """The name of a table."""

    phrase: str = "the name of a table"

    def schema(self) -> dict[str, Any]:
        return Text().schema()

    def read(self, node: Node, place: Place) -> str:
        return read_identifier(place.scalar(node, self.phrase), self.phrase, place)


def read_identifier(scalar: Scalar, phrase: str, place: Place) -> str:
    """A name of a table or column. Raises Refused for an empty one, one with NUL, and those that SQLite keeps."""
    name = scalar.text
    if not name or "\0" in name or name.lower().startswith("sqlite_") or "${" in name or scalar.value is None:
        raise place.refuse(scalar, phrase)
    return name


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
