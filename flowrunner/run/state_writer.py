"""Turns values that steps keep into transactions on a SQLite file."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flowrunner.errors import FlowrunnerError
from flowrunner.run.file_locks import FamilyLock

#: Seconds between two transactions, and between two times that everything is forced to the disk. A kill of the program
#: loses at most what came in the first, a power cut what came in the second; and a card of flash memory lives longer.
PAUSE = 0.1
CHECKPOINT = 1.0

#: Seconds after which a transaction that failed is tried again; they double up to the last.
RETRY = (1.0, 30.0)

#: Milliseconds for which a transaction waits for those of other processes.
_FAMILY_PATIENCE = 10_000

_VERSION = 1
_TABLE = """
    CREATE TABLE IF NOT EXISTS state(
        flow TEXT NOT NULL, name TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, since REAL NOT NULL, until REAL,
        PRIMARY KEY(flow, name, key)
    ) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO state VALUES(?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM state WHERE flow = ? AND name = ? AND key = ?"
_ROWS = "SELECT key, value, since, until FROM state WHERE flow = ? AND name = ? ORDER BY since"

#: The flow, the name and the key of a value; and the value in JSON, when it was set and is over. None: it is forgotten.
Place = tuple[str, str, bytes]
Kept = tuple[bytes, float, float | None] | None
Found = list[tuple[bytes, bytes, float, float | None]]

#: Hears what happens to the file: the event, in a word, and the sentence for people.
Tell = Callable[[str, str], object]


class StateWriter:
    """What the thread does with the database."""

    def __init__(self, database: sqlite3.Connection, tell: Tell, lock: FamilyLock | None = None) -> None:
        self.database = database
        self.tell = tell
        self.lock = lock
        self.is_dirty = False
        self.forced_at = 0.0
        self.retry = 0.0  # seconds until the next attempt; 0 where the last one succeeded

    def patience(self) -> float | None:
        """How long to wait for something to do."""
        if self.retry:
            return 0.0
        return CHECKPOINT if self.is_dirty else None

    def pause(self) -> float:
        """How long to do nothing after a turn."""
        return self.retry or PAUSE

    def write(self, batch: dict[Place, Kept]) -> bool:
        """Write values in one transaction; false if that failed."""
        try:
            with Transaction(self.database):
                puts = [(*place, *kept) for place, kept in batch.items() if kept is not None]
                self.database.executemany(_PUT, puts)
                self.database.executemany(_FORGET, [place for place, kept in batch.items() if kept is None])
        except Exception as error:  # noqa: BLE001 - a full disk, most likely; nothing may end this thread
            if not self.retry:
                self.tell("state-failed", f"values cannot be kept: {error}; they are kept in memory until it works")
            self.retry = min(max(self.retry * 2, RETRY[0]), RETRY[1])
            return False
        if self.retry:
            self.tell("state-kept", "values are kept again")
        self.retry = 0.0
        self.is_dirty = True
        return True

    def read(self, flow: str, name: str) -> Found:
        """What is kept under a name. Raises FlowrunnerError."""
        try:
            return self.database.execute(_ROWS, (flow, name)).fetchall()
        except sqlite3.Error as error:
            raise FlowrunnerError(f"kept values cannot be read: {error}") from None

    def checkpoint_if_due(self) -> None:
        """Force what was written to the disk, once in a while."""
        if self.is_dirty and time.monotonic() - self.forced_at >= CHECKPOINT:
            self.checkpoint("PASSIVE")

    def checkpoint(self, mode: str) -> None:
        """Force what was written to the disk."""
        with suppress(sqlite3.Error):  # the next one does it, or the next write fails and says so
            self.database.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self.is_dirty = False
        self.forced_at = time.monotonic()

    def close(self) -> None:
        """Let go of the file."""
        self.checkpoint("TRUNCATE")
        self.database.close()
        if self.lock is not None:
            self.lock.leave()


class Transaction:
    """All of it, or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def __enter__(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.database.execute("COMMIT")
        elif self.database.in_transaction:
            self.database.execute("ROLLBACK")


def open_writer(path: Path, tell: Tell, family: str = "") -> StateWriter:
    """What writes to the database, new if there is none, or the one there is is broken. Raises FlowrunnerError.

    Nobody else can use it meanwhile, but for processes of the same `family`.
    """
    lock = FamilyLock(path.with_name(f"{path.name}.family"), family) if family else None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if lock is not None:
            lock.join()
        database = _open(path, tell, lock)
        if lock is not None and lock.is_first:
            lock.admit()
    except (OSError, sqlite3.Error) as error:
        if lock is not None:
            lock.leave()
        reason = getattr(error, "strerror", None) or str(error)
        if "locked" in reason:
            reason = "another flowrunner uses it"
        raise FlowrunnerError(f"values cannot be kept in {path}: {reason.lower()}") from None
    return StateWriter(database, tell, lock)


def _open(path: Path, tell: Tell, lock: FamilyLock | None) -> sqlite3.Connection:
    _make(path)
    path.chmod(0o600)
    try:
        return _connect(path, is_shared=lock is not None)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        if lock is not None and not lock.is_first:  # the others use it
            raise
        aside = _move_aside(path)
        tell("state-broken", f"{path} is broken ({error}): it is {aside.name} now, and all kept values begin anew")
        _make(path)
        return _connect(path, is_shared=lock is not None)


def _make(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connect(path: Path, *, is_shared: bool) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    mode = "NORMAL" if is_shared else "EXCLUSIVE"
    try:
        # synchronous=NORMAL writes a transaction without waiting for the disk; the checkpoint each second does that
        for pragma in (f"locking_mode = {mode}", "journal_mode = WAL", "synchronous = NORMAL"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        _check(database)
        with Transaction(database):
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {_VERSION}")
        if is_shared:
            database.execute(f"PRAGMA busy_timeout = {_FAMILY_PATIENCE}").fetchall()
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    ((found,), *_) = database.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    ((version,),) = database.execute("PRAGMA user_version").fetchall()
    if version > _VERSION:
        raise sqlite3.OperationalError("it was made by a newer flowrunner")


def _move_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    for ending in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    return aside
