"""`sqlite`: rows in, rows out, in transactions that survive."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from threading import Timer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic
from flowrunner.options.sql import quoted
from flowrunner.outside import database as module
from tests.flow_host import FlowHost, diagnose, message, read, refused

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def host_of(folder: Path, step: str, *, before: str = "json") -> FlowHost:
    text = f"subscribe: in/+k\nsteps:\n  - {before}\n  - sqlite: {{file: x.db, {step}}}\n  - publish: out/${{k}}\n"
    return FlowHost(read(text, folder=folder))


def done(host: FlowHost) -> FlowHost:
    if host.waits is not None:
        host.waits.close()
    return host


def rows(path: Path, query: str = "SELECT * FROM t") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, timeout=10)) as database:
        return database.execute(query).fetchall()


TABLE = 'table: t, columns: {k: "${k}", v: "${payload}"}'


def test_a_message_becomes_a_row_and_goes_on(folder: Path) -> None:
    host = host_of(folder, TABLE)
    values = [1, 2.5, "ü", None, True, [1, {"a": 2}], 2**53]
    for value in values:
        host.arrive(message("in/a", b"null" if value is None else [value]))
    done(host)
    host = host_of(folder, 'table: u, columns: {v: "${payload[0]}"}')
    for value in values:
        host.arrive(message("in/a", [value]))
    done(host)
    assert [row[0] for row in rows(folder / "x.db", "SELECT v FROM u")] == [1, 2.5, "ü", None, 1, '[1,{"a":2}]', 2**53]
    assert len(host.outcome.published) == len(values)


def test_fields_of_the_payload_are_columns(folder: Path) -> None:
    host = host_of(folder, "table: t, columns: [b, a]")
    for value in ({"a": 1, "b": 2, "c": 3}, {"a": 4}):
        host.get("in/a", value)
    host.get("in/a", [1])
    done(host)
    assert rows(folder / "x.db") == [(2, 1), (None, 4)]
    assert (host.outcome.error.code, host.outcome.error.message) == (
        "not-a-map",
        "the payload is a list, not a map with fields",
    )


def test_bytes_are_kept_as_they_are(folder: Path) -> None:
    host = host_of(folder, 'table: t, columns: {v: "${payload}"}', before="log: x")
    host.get("in/a", b"\x00\xff")
    done(host)
    assert rows(folder / "x.db") == [(b"\x00\xff",)]


def test_a_table_that_is_there_is_not_changed(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "x.db")) as database:
        database.execute("CREATE TABLE t(k TEXT PRIMARY KEY, v INTEGER NOT NULL, extra DEFAULT 7)")
    host = host_of(folder, TABLE)
    for value in (1, b"null", 2):
        host.get("in/a", value)
    done(host)
    assert rows(folder / "x.db") == [("a", 1, 7)]
    assert [(error.code, error.message) for error in host.outcome.errors] == [
        ("not-a-row", "SQLite refuses: NOT NULL constraint failed: t.v"),
        ("not-a-row", "SQLite refuses: UNIQUE constraint failed: t.k"),
    ]
    host = host_of(folder, "table: t, columns: {nope: 1}")
    host.get("in/a", 1)
    done(host)
    assert (host.outcome.error.code, host.outcome.error.span.text) == ("database-failed", "sqlite")
    assert "nope" in host.outcome.error.message


@pytest.mark.parametrize("name", ['x"; DROP TABLE t; --', "a b", "select", "ü", "[x]", "a'b", "`"])
def test_any_name_is_only_a_name(folder: Path, name: str) -> None:
    shown = name.replace("\\", "\\\\").replace('"', '\\"')
    host = host_of(folder, f'table: "{shown}", columns: {{"{shown}": 1, other: 2}}')
    host.get("in/a", 1)
    done(host)
    assert host.outcome.errors == []
    assert rows(folder / "x.db", f"SELECT * FROM {quoted(name)}") == [(1, 2)]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_name_in_quotes_is_that_name(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE t({quoted(name)})")
        assert [row[1] for row in database.execute("PRAGMA table_info(t)")] == [name]


ATTACK = "x'); DROP TABLE t; --"


def test_a_value_is_only_a_value(folder: Path) -> None:
    host = host_of(folder, TABLE)
    host.get("in/a", [ATTACK])
    done(host)
    host = host_of(folder, 'query: "SELECT k FROM t WHERE v = :v", values: {v: "${payload}"}')
    host.get("in/b", [ATTACK])
    done(host)
    assert host.outcome.sent == [("out/b", [{"k": "a"}])]


def test_what_a_query_gives_becomes_the_payload(folder: Path) -> None:
    host = host_of(folder, TABLE)
    for number in range(3):
        host.get("in/a", number)
    done(host)
    host = host_of(
        folder, 'query: "SELECT v, v * 2 AS twice FROM t WHERE v >= :least ORDER BY v", values: {least: "${payload}"}'
    )
    for least in (1, 9):
        host.get("in/b", least)
    done(host)
    assert host.outcome.sent == [("out/b", [{"v": 1, "twice": 2}, {"v": 2, "twice": 4}]), ("out/b", [])]


def test_a_statement_that_gives_nothing_leaves_the_message(folder: Path) -> None:
    host = host_of(folder, 'query: "CREATE TABLE IF NOT EXISTS t(a)"')
    host.get("in/a", {"x": 1})
    done(host)
    host = host_of(folder, 'query: "INSERT INTO t VALUES(:a) RETURNING a + 1 AS next", values: {a: "${payload}"}')
    host.get("in/a", 5)
    done(host)
    assert host.outcome.sent == [("out/a", [{"next": 6}])]
    assert rows(folder / "x.db") == [(5,)]


def test_too_many_rows_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT :most) SELECT i FROM n"
    host = host_of(folder, f'query: "{query}", values: {{most: "${{payload}}"}}')
    for most in (3, 4):
        host.get("in/a", most)
    done(host)
    assert len(host.outcome.published) == 1
    assert (host.outcome.error.message, host.outcome.error.helps) == (
        "the query gives more than 3 rows",
        ("add a `LIMIT`",),
    )


def test_a_query_without_end_is_ended(folder: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    host = host_of(folder, f'query: "{query}", timeout: 50ms')
    host.get("in/a", 1)
    assert (host.outcome.error.code, host.outcome.error.message) == ("timed-out", "`x.db` took longer than 0.05 s")
    host.get("in/a", 1)
    done(host)
    assert len(host.outcome.errors) == 2


@pytest.mark.parametrize(
    ("value", "code"),
    [("${2 ** 70}", "not-a-row"), ("${[2 ** 70]}", "not-json-able"), ("${payload.gone}", "missing-field")],
)
def test_what_sqlite_cannot_hold(folder: Path, value: str, code: str) -> None:
    host = host_of(folder, f'table: t, columns: {{v: "{value}"}}')
    host.get("in/a", {})
    done(host)
    assert host.outcome.error.code == code


def test_half_a_character_is_an_error(folder: Path) -> None:
    host = host_of(folder, TABLE)
    host.get("in/a", b'"\\ud800"')
    host.get("in/a", 1)
    done(host)
    assert len(host.outcome.errors) == 1
    assert rows(folder / "x.db") == [("a", 1)]


def test_a_file_that_is_no_database_and_one_that_cannot_be_opened(folder: Path) -> None:
    (folder / "x.db").write_bytes(b"this is no database" * 100)
    host = host_of(folder, TABLE)
    host.get("in/a", 1)
    done(host)
    assert host.outcome.error.message == "`x.db` cannot be written: file is not a database"
    (folder / "x.db").unlink()
    (folder / "x.db").mkdir()
    host = host_of(folder, TABLE)
    host.get("in/a", 1)
    done(host)
    assert host.outcome.error.code == "database-failed"
    assert "is a directory" in host.outcome.error.message or "unable to open" in host.outcome.error.message


def test_another_program_that_keeps_it_locked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    host = host_of(folder, TABLE)
    host.get("in/a", 1)
    with closing(sqlite3.connect(folder / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        host.get("in/a", 2)
        other.execute("ROLLBACK")
    host.get("in/a", 3)
    done(host)
    assert host.outcome.error.message == "another program has kept `x.db` locked for 0.05 s"
    assert [row[1] for row in rows(folder / "x.db")] == [1, 3]


def test_a_new_file_keeps_a_log_and_an_old_one_stays_as_it_is(folder: Path) -> None:
    host = host_of(folder, TABLE)
    host.get("in/a", 1)
    done(host)
    assert rows(folder / "x.db", "PRAGMA journal_mode") == [("wal",)]
    (folder / "old").mkdir()
    with closing(sqlite3.connect(folder / "old" / "x.db")) as database:
        database.execute("CREATE TABLE other(a)")
    host = host_of(folder / "old", TABLE)
    host.get("in/a", 1)
    done(host)
    assert rows(folder / "old" / "x.db", "PRAGMA journal_mode") == [("delete",)]


async def test_messages_that_wait_share_a_transaction_and_one_that_fails_leaves_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    run_all = module.run_all

    def counted(connection: sqlite3.Connection, transaction: module.Transaction) -> Any:
        batches.append(len(transaction.rows))
        return run_all(connection, transaction)

    monkeypatch.setattr(module, "run_all", counted)
    with closing(sqlite3.connect(folder / "x.db")) as database:
        database.execute("CREATE TABLE t(k, v UNIQUE)")
    host = host_of(folder, TABLE)
    for number in range(900):
        host.get("in/a", 7 if number == 600 else number)
    await host.settled()
    done(host)
    assert sum(batches) == 900
    assert len(batches) <= 4
    assert max(batches) == 500
    assert [row[1] for row in rows(folder / "x.db")] == [number for number in range(900) if number != 600]
    assert [value for _, value in host.outcome.sent] == [number for number in range(900) if number != 600]
    assert [error.code for error in host.outcome.errors] == ["not-a-row"]


async def test_a_transaction_that_fails_is_a_failure_of_all_its_messages(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(connection: sqlite3.Connection, text: str, row: dict[str, Any]) -> Any:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    host = host_of(folder, TABLE)
    host.get("in/a", 0)
    await host.settled()
    monkeypatch.setattr(module, "_run", full)
    for number in range(5):
        host.get("in/a", number)
    await host.settled()
    monkeypatch.undo()
    host.get("in/a", 9)
    await host.settled()
    done(host)
    assert [row[1] for row in rows(folder / "x.db")] == [0, 9]
    assert {error.helps for error in host.outcome.errors} == {("make room on the disk",)}
    assert len(host.outcome.errors) == 5


async def test_two_steps_of_one_flow_share_the_file(folder: Path) -> None:
    text = """
        subscribe: in
        steps:
          - json
          - sqlite: {file: x.db, table: a, columns: {v: "${payload}"}}
          - sqlite: {file: x.db, table: b, columns: {v: "${payload}"}}
          - publish: out
    """
    host = FlowHost(read(text, folder=folder))
    for number in range(50):
        host.get("in", number)
    await host.settled()
    done(host)
    assert rows(folder / "x.db", "SELECT count(*) FROM a") == rows(folder / "x.db", "SELECT count(*) FROM b") == [(50,)]
    assert [value for _, value in host.outcome.sent] == [*range(50)]


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("{table: t, columns: [a]}", "missing-key", "`sqlite` needs `file`"),
        ("{file: x.db}", "missing-key", "`sqlite` needs `table` with `columns`, or `query`"),
        (
            "{file: x.db, table: t, query: SELECT 1, columns: [a]}",
            "missing-key",
            "`sqlite` needs `table` with `columns`, or `query`",
        ),
        ("{file: x.db, table: t}", "missing-key", "`table` needs `columns`"),
        ("{file: x.db, query: SELECT 1, columns: [a]}", "wrong-value", "`columns` goes with `table`, not with `query`"),
        (
            "{file: x.db, table: t, columns: [a], values: {b: 1}}",
            "wrong-value",
            "`values` goes with `query`, not with `table`",
        ),
        ("{file: x.db, query: 'SELECT :a'}", "missing-key", "the parameter `:a` has no value"),
        ("{file: x.db, query: SELECT 1, values: {a: 1}}", "wrong-value", "`query` has no parameter `:a`"),
        (
            "{file: x.db, table: sqlite_master, columns: [a]}",
            "wrong-value",
            "`table` of `sqlite` must be the name of a table",
        ),
        (
            "{file: x.db, table: t, columns: [a, A]}",
            "wrong-value",
            "`columns` of `sqlite` must be a list of fields, each of them once",
        ),
        (
            "{file: 'x-${k}.db', table: t, columns: [a]}",
            "wrong-value",
            "`file` of `sqlite` must be one file, without `${}`",
        ),
    ],
)
def test_options_that_do_not_go_together(step: str, code: str, message: str) -> None:
    found = refused(f"subscribe: in/+k\nsteps:\n  - json\n  - sqlite: {step}\n  - publish: out\n")
    assert (found.code, found.message) == (code, message)


def fault(query: str) -> Diagnostic:
    text = query.replace("'", "''")
    return refused(
        f"subscribe: in/+k\nsteps:\n  - json\n  - sqlite:\n      file: x.db\n      query: '{text}'\n  - publish: out\n"
    )


@pytest.mark.parametrize(
    ("query", "part", "message"),
    [
        ("SELCT 1", "SELCT", "this is no SQL: unexpected `SELCT`"),
        ("SELECT 1 FORM t", "t", "this is no SQL: unexpected `t`"),
        ("SELECT 1; DROP TABLE t", ";", "`query` must be one statement"),
        ("SELECT (", "SELECT (", "this statement ends too early"),
        ("SELECT ?", "?", "a parameter must have a name"),
        ("SELECT * FROM t WHERE room = '${k}'", "${", "nothing is inserted into a statement"),
        ("BEGIN", "BEGIN", "`BEGIN` cannot be used: every statement is part of a transaction"),
        ("-- tidy up\nvacuum;", "vacuum;", "`VACUUM;` cannot be used: every statement is part of a transaction"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA", "`PRAGMA` cannot be used: every statement is part of a transaction"),
    ],
)
def test_a_statement_that_is_none(query: str, part: str, message: str) -> None:
    if "\n" in query:
        query = query.replace("\n", " \n        ")
    found = (
        fault(query)
        if "\n" not in query
        else refused(
            f"subscribe: in\nsteps:\n  - json\n  - sqlite:\n      file: x.db\n      query: |\n        {query}\n  - publish: out\n"
        )
    )
    assert (found.code, found.message) == ("bad-sql", message)
    assert part in found.span.text or found.span.text in part


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ':no', \"a:b\", [c:d], `e?` FROM t -- :comment ?\n",
        "SELECT 1 /* ; :x */",
        "INSERT INTO missing_table(a) VALUES(1)",
        "SELECT 1;",
        "DELETE FROM t WHERE x > 1 RETURNING x",
    ],
)
def test_what_only_looks_like_a_parameter(query: str) -> None:
    text = f"subscribe: in\nsteps:\n  - json\n  - sqlite:\n      file: x.db\n      query: |\n        {query}\n  - publish: out\n"
    assert diagnose(text)[1] == []


CHILD = dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from tests.flow_host import FlowHost, message, read

    TEXT = '''
    subscribe: in
    steps:
      - json
      - sqlite: {file: x.db, table: t, columns: {n: "${payload}", x: "${str(payload) * (payload % 50)}"}}
      - publish: out
    '''

    async def main() -> None:
        host = FlowHost(read(TEXT, folder=Path(sys.argv[1])))
        number = 0
        while True:
            for _ in range(number % 97 + 1):
                host.get("in", number)
                number += 1
            await host.settled()
            assert not host.outcome.errors, host.outcome.shown()
            os.write(1, host.outcome.published[-1].payload + b"\\n")
            host.outcome.published.clear()

    asyncio.run(main())
    """
)


def kill_often(folder: Path, times: int) -> None:
    """Kill a flow that puts in rows, at random moments: all rows of messages that went on are there."""
    for turn in range(times):
        own = folder / str(turn)
        own.mkdir()
        command = [sys.executable, "-c", CHILD, str(own)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            assert first, "the child ended by itself"
            timer = Timer(random.random() * 0.2, child.kill)
            timer.start()
            last = int([first, *output.read().splitlines()][-1])
            timer.join()
        assert child.wait(10) == -signal.SIGKILL
        found = rows(own / "x.db", "SELECT n, x FROM t ORDER BY rowid")
        assert [number for number, _ in found] == [*range(len(found))]
        assert all(text == str(number) * (number % 50) for number, text in found)
        assert len(found) > last
        assert rows(own / "x.db", "PRAGMA integrity_check") == [("ok",)]


def test_a_kill_at_any_moment_loses_no_row(tmp_path: Path) -> None:
    kill_often(tmp_path, 5)


@pytest.mark.soak
def test_fifty_kills_lose_no_row(tmp_path: Path) -> None:
    kill_often(tmp_path, 50)
