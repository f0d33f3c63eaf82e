"""Lets processes use files one after the other, or those of one supervisor together and nobody else."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where there is one process to a folder
    fcntl = None  # type: ignore[assignment]

#: Seconds for somebody of the family to make up what all use.
_PATIENCE = 5.0


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one who does something in a folder; where that cannot be, so be it."""
    descriptor = -1
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if fcntl is not None:
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # nothing can be written there
        pass
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


class FamilyLock:
    """A file that says whose family uses something; it is theirs as long as one of them lives.

    `join` raises OSError where another family does. Who is the first may put in order what all of them use: the
    others wait until it has called `admit`.
    """

    def __init__(self, path: Path, family: str) -> None:
        self._path = path
        self._family = family.encode()
        self._descriptor = -1
        self.is_first = False

    def join(self) -> None:
        """Be one of those who use it."""
        if fcntl is None:
            raise OSError("several processes cannot use it here")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _PATIENCE
        while not self._try():
            if time.monotonic() > deadline:
                self.leave()
                raise OSError("another flowrunner uses it")
            time.sleep(0.01)

    def admit(self) -> None:
        """Let the others in."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self._check()

    def leave(self) -> None:
        """Use it no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self._family, 0)
            self.is_first = True
            return True
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._check()
            return True
        return False

    def _check(self) -> None:
        if os.pread(self._descriptor, len(self._family) + 1, 0) != self._family:
            self.leave()
            raise OSError("another flowrunner uses it")
