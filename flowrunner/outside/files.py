"""Turns lines into files that grow: appended whole, rotated, repaired after a power cut, and a few of them open."""

import errno
import os
from collections import OrderedDict
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

from flowrunner.errors import StepError
from flowrunner.records import dataclass

Period = Literal["hourly", "daily"]

#: Files that are open at a time; the one that was not written to for longest is closed.
MOST_OPEN = 64

#: Seconds between two times that what was written is forced to the disk.
FORCE = 1.0

_STAMPS: dict[Period, str] = {"hourly": "%Y%m%d-%H", "daily": "%Y%m%d"}
_CHUNK = 65_536
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is put aside, and a new one begun: by its size in bytes, by time; `keep` are so many old ones."""

    size: int | None = None
    period: Period | None = None
    keep: int | None = None


@dataclass(slots=True)
class _File:
    """An open file: where it is on the disk, how long it is, and when it was written to last."""

    descriptor: int
    identity: tuple[int, int]
    size: int
    written: float
    head: bytes = b""


class Files:
    """The files that lines are appended to, for all flows of a runner.

    A line goes to the system with one call, before `append` returns: it survives a kill of the program, and no reader
    sees it in pieces. Once a second a thread forces what was written to the disk: a power cut loses about so much. What
    it leaves of a last line is put into a file of its own (`.torn`) when the file is opened again.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _File] = OrderedDict()
        self._dirty: set[int] = set()
        self._leaving: list[int] = []
        self._lock = Lock()  # around the descriptors: no other thread may force one that is just being closed
        self._wake = Event()
        self._closing = Event()
        self._thread: Thread | None = None

    def append(
        self, path: Path, line: bytes, now: float, *, rotation: Rotation | None = None, head: bytes = b""
    ) -> None:
        """Append a line, with its end; a new file begins with `head`. `now` is in seconds since 1970.

        Raises StepError where the file cannot be written; then nothing of the line is in it.
        """
        try:
            file = self._file(path)
            if rotation is not None and self._is_due(file, rotation, len(line), now):
                self._put_aside(path, file, rotation, now)
                file = self._file(path)
            if not file.size and head:
                line = head + line
                file.head = head
            self._write(file, line)
            file.written = now
        except OSError as error:
            raise _not_written(path, error) from None
        self._remember(file.descriptor)

    def head_of(self, path: Path) -> bytes:
        """The first line of a file, with its end; empty if there is none. Raises StepError."""
        try:
            return self._file(path).head
        except OSError as error:
            raise _not_written(path, error) from None

    async def aclose(self) -> None:
        """Force everything to the disk, and close the files."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for path in list(self._open):
            self._close(path)
        self._force()

    def _file(self, path: Path) -> _File:
        file = self._open.get(path)
        if file is not None and _identity(path) == file.identity:
            self._open.move_to_end(path)
            return file
        if file is not None:  # somebody else has put it aside, or deleted it
            self._close(path)
        while len(self._open) >= MOST_OPEN:
            self._close(next(iter(self._open)))
        file = self._open[path] = _opened(path)
        return file

    def _write(self, file: _File, line: bytes) -> None:
        written = os.write(file.descriptor, line)
        if written < len(line):
            end = os.lseek(file.descriptor, 0, os.SEEK_CUR)
            if os.fstat(file.descriptor).st_size == end:
                os.ftruncate(file.descriptor, end - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.size = os.lseek(file.descriptor, 0, os.SEEK_CUR)  # others may append to it, too

    def _is_due(self, file: _File, rotation: Rotation, length: int, now: float) -> bool:
        if not file.size:
            return False
        if rotation.size is not None and file.size + length > rotation.size:
            return True
        stamp = None if rotation.period is None else _STAMPS[rotation.period]
        return stamp is not None and _stamped(stamp, now) != _stamped(stamp, file.written)

    def _put_aside(self, path: Path, file: _File, rotation: Rotation, now: float) -> None:
        period = rotation.period
        stamp = _stamped(_STAMPS[period], file.written) if period else _stamped("%Y%m%d-%H%M%S", now)
        self._close(path)
        path.rename(_free(path, stamp))
        if rotation.keep is not None:
            for old in old_files(path)[: -rotation.keep or None]:
                with suppress(OSError):
                    old.unlink()

    def _close(self, path: Path) -> None:
        file = self._open.pop(path)
        with self._lock:
            if file.descriptor in self._dirty:
                self._dirty.discard(file.descriptor)
                if len(self._leaving) < MOST_OPEN:
                    self._leaving.append(os.dup(file.descriptor))  # forced by the thread, not here: that takes its time
                else:
                    _force(file.descriptor)
            os.close(file.descriptor)

    def _remember(self, descriptor: int) -> None:
        if descriptor in self._dirty:
            return
        with self._lock:
            self._dirty.add(descriptor)
        if self._thread is None:
            self._thread = Thread(target=self._force_often, name="flowrunner-write", daemon=True)
            self._thread.start()
        self._wake.set()

    def _force_often(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(FORCE)
            self._force()

    def _force(self) -> None:
        with self._lock:
            copies = [*self._leaving, *(os.dup(descriptor) for descriptor in self._dirty)]
            self._dirty.clear()
            self._leaving.clear()
        for copy in copies:
            _force(copy)
            os.close(copy)


def _force(descriptor: int) -> None:
    with suppress(OSError):  # a disk that is broken says so when the next line comes
        os.fsync(descriptor)


def _opened(path: Path) -> _File:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        size = repair(descriptor, path)
        status = os.fstat(descriptor)
        head = os.pread(descriptor, _CHUNK, 0)
    except BaseException:
        os.close(descriptor)
        raise
    first = head[: head.find(b"\n") + 1]
    return _File(descriptor, (status.st_dev, status.st_ino), size, status.st_mtime, first)


def repair(descriptor: int, path: Path) -> int:
    """Put what stands behind the last end of a line into a file of its own; returns the size."""
    size = os.fstat(descriptor).st_size
    end = last_end(descriptor, size)
    if end < size:
        with path.with_name(f"{path.name}.torn").open("ab") as torn:
            torn.write(os.pread(descriptor, size - end, end) + b"\n")
        os.ftruncate(descriptor, end)
    return end


def last_end(descriptor: int, size: int) -> int:
    """Where the last whole line of a file ends."""
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for every line
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stamped(format: str, moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime(format)  # noqa: DTZ006 - days are those of the wall clock


def _free(path: Path, stamp: str) -> Path:
    """The name for a file that is put aside: `out.20240229.jsonl`; numbered where it is taken."""
    number, aside = 1, path.with_name(f"{path.stem}.{stamp}{path.suffix}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.stem}.{stamp}.{number}{path.suffix}")
    return aside


def old_files(path: Path) -> list[Path]:
    """The files that were put aside, the oldest first."""
    begin, end = f"{path.stem}.", path.suffix
    found = [file for file in path.parent.iterdir() if file.name.startswith(begin) and file.name.endswith(end)]
    stamped = [file for file in found if _is_stamp(file.name[len(begin) : len(file.name) - len(end)])]
    return sorted(
        stamped, key=lambda file: [int(part) for part in file.name[len(begin) : -len(end)].replace("-", ".").split(".")]
    )


def _is_stamp(text: str) -> bool:
    parts = text.replace("-", ".").split(".")
    return len(parts[0]) == 8 and all(part.isascii() and part.isdigit() for part in parts)


def _not_written(path: Path, error: OSError) -> StepError:
    reason = (error.strerror or "unknown reason").lower()
    help = "make room on the disk" if error.errno in _NO_ROOM else ""
    return StepError(f"`{path.name[:60]}` cannot be written: {reason}", code="not-written", help=help)
