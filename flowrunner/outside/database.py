"""Turns statements for a SQLite file into transactions, made in a thread that the file has for itself."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from flowrunner.errors import StepError

Result = TypeVar("Result")

#: Seconds to wait for another program that writes to the same file, and rows that a query gives at most.
PATIENCE = 5.0
MOST_ROWS = 10_000

_INSTRUCTIONS = 10_000  # of SQLite, between two looks at the clock

_Call = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A statement that is run for each of `rows`, which name its parameters; `before` them, once, another (or none)."""

    text: str
    rows: Sequence[dict[str, Any]]
    before: str = ""
    seconds: float = 10.0

    @property
    def is_reading(self) -> bool:
        """Whether it changes nothing, and needs not wait for others that do."""
        return not self.before and self.text.lstrip().lower().startswith(("select", "values"))


class Database:
    """A SQLite file. A new one keeps a log ahead of its writes (WAL); one that is there stays as it is.

    A transaction is forced to the disk (`synchronous=FULL`) before `run` returns: it survives a power cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._calls: SimpleQueue[_Call | None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, transaction: Transaction) -> list[Rows | StepError | None]:
        """Run a statement for rows, all in one transaction; for each, the rows that it gave.

        None is for a statement that gives none, a StepError for one that failed by itself. Raises StepError where the
        whole transaction failed, or took too long.
        """
        self._loop = asyncio.get_running_loop()
        try:
            return await self._call(lambda connection: run_all(connection, transaction))
        except sqlite3.Error as error:
            raise explain(error, self.path, transaction.seconds) from None
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise StepError(f"`{self.path.name}` cannot be opened: {reason}", code="database-failed") from None

    def close(self) -> None:
        """Let the thread close the file behind the calls that it has."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None

    def _call(self, work: Callable[[sqlite3.Connection], Result]) -> "asyncio.Future[Result]":
        assert self._loop is not None
        future: asyncio.Future[Result] = self._loop.create_future()
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=self._work, args=(self._calls,), name="flowrunner-sqlite", daemon=True).start()
        self._calls.put((work, future))
        return future

    def _work(self, calls: "SimpleQueue[_Call | None]") -> None:
        connection: sqlite3.Connection | None = None
        while (call := calls.get()) is not None:
            work, future = call
            if future.cancelled():  # the flow has given the message up
                continue
            try:
                connection = connection or connect(self.path)
                result = work(connection)
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                self._answer(future, lambda future=future, error=error: future.set_exception(error))  # type: ignore[misc]
            else:
                self._answer(future, lambda future=future, result=result: future.set_result(result))  # type: ignore[misc]
            del call, work, future
        if connection is not None:
            connection.close()

    def _answer(self, future: "asyncio.Future[Any]", answer: Callable[[], None]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: the program ends
            self._loop.call_soon_threadsafe(lambda: None if future.done() else answer())


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file, which is made if there is none. Raises sqlite3.Error and OSError."""
    is_new = not path.exists() or path.stat().st_size == 0
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))  # says better than SQLite why it cannot
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        if is_new:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def run_all(connection: sqlite3.Connection, transaction: Transaction) -> list[Rows | StepError | None]:
    """All in one transaction. A row that fails by itself leaves the others; raises sqlite3.Error where none is kept."""
    end = time.monotonic() + transaction.seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _INSTRUCTIONS)
    try:
        connection.execute("BEGIN" if transaction.is_reading else "BEGIN IMMEDIATE")
        if transaction.before:
            connection.execute(transaction.before)
        outcomes = [_run(connection, transaction.text, row) for row in transaction.rows]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return outcomes


def _run(connection: sqlite3.Connection, text: str, row: dict[str, Any]) -> Rows | StepError | None:
    try:
        cursor = connection.execute(text, row)
        if cursor.description is None:
            return None
        names = [column[0] for column in cursor.description]
        found = cursor.fetchmany(MOST_ROWS + 1)
        cursor.close()
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        if not connection.in_transaction or "interrupt" in str(error):  # a full disk, or no more time, ends it all
            raise
        return failure(error)
    if len(found) > MOST_ROWS:
        return StepError(f"the query gives more than {MOST_ROWS} rows", code="too-large", help="add a `LIMIT`")
    return [dict(zip(names, values, strict=True)) for values in found]


def failure(error: Exception) -> StepError:
    """Why a statement failed, in words."""
    if isinstance(error, OverflowError):
        return StepError(
            "SQLite holds no integer beyond 64 bits", code="not-a-row", help="make it a text: `${str(...)}`"
        )
    if isinstance(error, UnicodeEncodeError):
        return StepError("a text holds half a surrogate pair, which is no UTF-8", code="not-a-row")
    code = "not-a-row" if isinstance(error, sqlite3.IntegrityError) else "database-failed"
    return StepError(f"SQLite refuses: {str(error)[:80]}", code=code)


def explain(error: sqlite3.Error, path: Path, seconds: float) -> StepError:
    """Why a transaction failed, in words."""
    text = str(error)
    if "interrupt" in text:
        return StepError(
            f"`{path.name}` took longer than {seconds:g} s", code="timed-out", help="give it more with `timeout`"
        )
    if "locked" in text or "busy" in text:
        return StepError(f"another program has kept `{path.name}` locked for {PATIENCE:g} s", code="database-failed")
    help = "make room on the disk" if "full" in text else ""
    return StepError(f"`{path.name}` cannot be written: {text[:80]}", code="database-failed", help=help)
