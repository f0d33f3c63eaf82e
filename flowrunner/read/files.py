"""Says where a library gets its files from: the disk, or whatever stands for it."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from flowrunner.read.load import find_names

Stamp = tuple[int, int, int, int, int]
"""Times and size of a file, and its place on the disk."""


class Files(Protocol):
    """The files of a library. Whoever reads flows asks nothing else for them."""

    def begin(self) -> None:
        """Learn that a look at the files begins."""

    def flow_files(self, paths: Sequence[Path]) -> Iterable[str]:
        """The flow files of paths, in their order; a path that is gone has none."""

    def stamp(self, path: Path) -> Stamp | None:
        """What changes whenever a file does; None if there is no such file."""

    def read(self, path: Path) -> bytes:
        """The content of a file. Raises OSError or ValueError, as `Path.read_bytes` does."""


class Disk:
    """The files as they are."""

    def begin(self) -> None:
        """Nothing is remembered here."""

    def flow_files(self, paths: Sequence[Path]) -> Iterable[str]:
        """The flow files of paths; of folders those in them and below."""
        return [name for path in paths if path.exists() for name in find_names(path)]

    def stamp(self, path: Path) -> Stamp | None:
        """What the system says of a file without opening it."""
        return stamp_of(path)

    def read(self, path: Path) -> bytes:
        """The content of a file."""
        return path.read_bytes()


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for each of perhaps thousands
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_dev, status.st_ino
