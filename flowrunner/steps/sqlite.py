"""Turns messages into rows of a SQLite file, and queries into payloads: the step `sqlite`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrunner.code import Block, Host
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.jsons import dumps
from flowrunner.options import Duration, Kind, Names, Place, Text, ValueKind, option
from flowrunner.options.computed import entries_of
from flowrunner.options.sql import Query, QueryKind, TableName, quoted, read_identifier
from flowrunner.read.nodes import List, Node
from flowrunner.step import Check
from flowrunner.values import Value
from flowrunner.waiting import UNCHANGED, Foretold, Outcome, WaitingStep, WaitingWorker

#: Messages that one transaction takes in at most.
_BATCH = 500


@dataclass(frozen=True)
class _DatabaseFile(Kind[str]):
    """A path, relative to the flow's folder."""

    phrase: str = "a file such as `data/climate.db`"

    def schema(self) -> dict[str, Any]:
        return Text().schema()

    def read(self, node: Node, place: Place) -> str:
        name = Text(self.phrase).read(node, place)
        if not name or "\0" in name or name.endswith("/"):
            raise place.refuse(node, self.phrase)
        if "${" in name:
            raise place.refuse(node, "one file, without `${}`", help="put what differs into a column")
        return str(place.context.folder / name)


Columns = tuple[tuple[str, Value | None], ...]


@dataclass(frozen=True)
class _ColumnsKind(Kind[Columns]):
    """The columns: a map to values, or a list of fields of the payload."""

    phrase: str = "a map `column: value`, or a list of fields of the payload"

    def schema(self) -> dict[str, Any]:
        fields = {"type": "array", "items": Text().schema(), "minItems": 1, "uniqueItems": True}
        return {"anyOf": [{"type": "object", "minProperties": 1}, fields]}

    def read(self, node: Node, place: Place) -> Columns:
        if isinstance(node, List):
            names = [
                read_identifier(place.scalar(item, "a field"), "the name of a field", place) for item in node.items
            ]
            if not names or len({name.lower() for name in names}) < len(names):
                raise place.refuse(node, "a list of fields, each of them once")
            return tuple((name, None) for name in names)
        entries = list(entries_of(node, place, self.phrase))
        names = [read_identifier(entry.key, "the name of a column", place.inside(entry.key.text)) for entry in entries]
        if len({name.lower() for name in names}) < len(names):
            raise place.refuse(node, "a map in which every column is there once")
        values = [ValueKind().read(entry.value, place.inside(entry.key.text)) for entry in entries]
        return tuple(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sqlite(WaitingStep):
    """Put a message into a table of a SQLite file, or ask the file something.

    With `table` and `columns` every message becomes a row; then it goes on unchanged. `columns` is a map to values, or
    a list of fields of the payload (a field that is not there is NULL). A table that is missing is made, with these
    columns and without types; one that is there is never changed. With `query` a statement of your own is run; its
    parameters (`:room`) get their values from `values`, never by insertion into the text. What it gives becomes the
    payload, a list with a map for each row (at most 10 000); a statement that gives nothing leaves it as it is.

    The path is relative to the folder of the flow. Maps and lists are kept as JSON, true and false as 1 and 0. Messages
    that wait are put in together, in one transaction, and go on when the disk has it: a power cut loses none of them.
    """

    KEY = "sqlite"
    IS_OUTSIDE = True
    WRITES_FILES = True
    EXAMPLES = (
        """
        subscribe: sensors/+room/climate
        steps:
          - json
          - sqlite:
              file: data/climate.db
              table: climate
              columns: {at: "${now()}", room: "${room}", t: "${payload.temperature}"}
          - publish: kept/${room}
        tests:
          - given: {topic: sensors/attic/climate, payload: {temperature: 21}}
            mocks: {sqlite: null}
            expect: {topic: kept/attic, payload: {temperature: 21}}
        """,
        """
        subscribe: rooms/+room/warmest
        steps:
          - sqlite:
              file: data/climate.db
              query: SELECT max(t) AS t FROM climate WHERE room = :room AND at > :since
              values: {room: "${room}", since: "${now() - 86400}"}
          - publish: {topic: "rooms/${room}/warmest/today", payload: "${payload[0].t}"}
        tests:
          - given: {topic: rooms/attic/warmest}
            mocks: {sqlite: {payload: [{t: 26.5}]}}
            expect: {topic: rooms/attic/warmest/today, payload: 26.5}
        """,
    )

    file: str = option(_DatabaseFile(), "the path of the file")
    table: str | None = option(TableName(), "the table that gets the rows", default=None)
    columns: Columns | None = option(_ColumnsKind(), "the columns, with their values", default=None)
    query: Query | None = option(QueryKind(), "a statement of SQL, instead of `table`", default=None)
    values: tuple[tuple[str, Value], ...] = option(Names(), "the values of the parameters of `query`", default=())
    timeout: float = option(Duration(), "how long one transaction may take", default=10.0)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        span = self.at.key_span
        if (self.table is None) is (self.query is None):
            check.report.say("missing-key", "`sqlite` needs `table` with `columns`, or `query`", span)
        elif self.query is not None and self.columns is not None:
            check.report.say("wrong-value", "`columns` goes with `table`, not with `query`", span)
        elif self.table is not None and (self.columns is None or self.values):
            message = (
                "`table` needs `columns`" if self.columns is None else "`values` goes with `query`, not with `table`"
            )
            check.report.say("missing-key" if self.columns is None else "wrong-value", message, span)
        elif self.query is not None:
            self.check_values(self.query, check)
        for part in self.parts():
            check.part(part, scope)
        return self.after(scope)

    def check_values(self, query: Query, check: Check) -> None:
        """Report parameters without a value, and values without a parameter."""
        given = {name for name, _ in self.values}
        for name in query.names:
            if name not in given:
                helps = (f"add `values: {{{name}: ...}}`",)
                check.report.say("missing-key", f"the parameter `:{name}` has no value", self.at.key_span, helps=helps)
        for name in sorted(given - set(query.names)):
            check.report.say("wrong-value", f"`query` has no parameter `:{name}`", self.at.key_span)

    def after(self, scope: Scope) -> Scope:
        return scope if self.query is None else scope.with_(payload="any")

    @property
    def statements(self) -> tuple[str, str]:
        """What is run for each message, and once before; values are parameters p0, p1, ..., or those of the query."""
        if self.query is not None:
            return self.query.text, ""
        assert self.table is not None
        columns = ", ".join(quoted(name) for name, _ in self.columns or ())
        places = ", ".join(f":p{number}" for number, _ in enumerate(self.columns or ()))
        table = quoted(self.table)
        insert = f"INSERT INTO {table}({columns}) VALUES({places})"
        return insert, f"CREATE TABLE IF NOT EXISTS {table}({columns})"

    def foretell(self, job: dict[str, Any]) -> Foretold:
        text, _ = self.statements
        return Foretold(f"{' '.join(text.split())} with {job!r}", None if self.query is not None else UNCHANGED)

    def worker(self, host: Host) -> "_Rows":
        return _Rows(host, self)

    def emit(self, to: Block) -> None:
        if self.query is not None:
            pairs = [(name, to.value(value)) for name, value in self.values]
        else:
            field, columns = to.helper(field_of), enumerate(self.columns or ())
            pairs = [
                (f"p{number}", to.expression("FIELD(payload, NAME)", FIELD=field, NAME=to.constant(name)))
                if value is None
                else (f"p{number}", to.value(value))
                for number, (name, value) in columns
            ]
        self.job(to, to.expression("ROW(VALUES)", ROW=to.helper(as_row), VALUES=to.display(None, pairs)))


def field_of(payload: Any, name: str) -> Any:
    """A field of the payload; None if it is not there. Raises StepError where the payload is no map."""
    if not isinstance(payload, dict):
        help = "put `- json` before this step" if isinstance(payload, bytes | str) else ""
        raise StepError(f"the payload is {name_kind(payload)}, not a map with fields", code="not-a-map", help=help)
    return payload.get(name)


def as_row(values: dict[str, Any]) -> dict[str, Any]:
    """Values as SQLite keeps them. Raises StepError for a map or list that JSON cannot hold."""
    return {name: _as_sql(value) for name, value in values.items()}


def _as_sql(value: Any) -> Any:
    if value is None or isinstance(value, str | bytes | float):
        return value
    if isinstance(value, int):
        return int(value)
    return dumps(value).decode()


class _Rows(WaitingWorker):
    """Runs one statement for messages, several in one transaction."""

    batch = _BATCH

    def __init__(self, host: Host, step: Sqlite) -> None:
        super().__init__(host)
        self.text, self.before = step.statements
        self.path = Path(step.file)
        self.timeout = step.timeout

    async def work_all(self, jobs: Sequence[Any]) -> Sequence[Outcome | Exception]:
        from flowrunner.outside.database import Database, Transaction  # brings asyncio, which `check` does without

        database = self.waits.once(f"sqlite {self.path}", lambda: Database(self.path))
        found = await database.run(Transaction(self.text, jobs, self.before, self.timeout))
        return [_outcome(one) for one in found]


def _outcome(found: list[dict[str, Any]] | StepError | None) -> Outcome | Exception:
    if isinstance(found, StepError):
        return found
    return UNCHANGED if found is None else ({"payload": found},)
