"""Turns the files that a library reads into copies from which libraries in other processes read the same."""

import errno
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.contents import Contents
from flowrunner.read.digests import Digest, Look
from flowrunner.read.files import Disk, Files, Stamp
from flowrunner.read.settings import Settings
from flowrunner.read.settings_file import Words, words_for
from flowrunner.records import dataclass

Content = bytes | int
"""What is in a file, or the number of the error (`errno`) that reading it raises."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed since the delta before: files, the list of flow files (None: it is the same), and the settings.

    `at` is when it was found, in seconds since 1970.
    """

    number: int
    at: float
    files: Mapping[Path, Content]
    flow_files: tuple[str, ...] | None
    settings: Settings

    def before(self, later: "Delta") -> "Delta":
        """Both in one."""
        names = self.flow_files if later.flow_files is None else later.flow_files
        return replace(later, files={**self.files, **later.files}, flow_files=names)


class Copies:
    """Files that are read through here, of which every content is kept for others."""

    def __init__(self, files: Files | None = None) -> None:
        self._files = files or Disk()
        self._known: dict[Path, Content] = {}
        self._fresh: dict[Path, Content] = {}
        self._names: tuple[str, ...] | None = None
        self._has_new_names = False
        self._number = 0

    def begin(self) -> None:
        """See `flowrunner.read.files.Files`."""
        self._files.begin()

    def flow_files(self, paths: Sequence[Path]) -> Iterable[str]:
        """See `flowrunner.read.files.Files`."""
        names = tuple(self._files.flow_files(paths))
        self._has_new_names = self._has_new_names or names != self._names
        self._names = names
        return names

    def stamp(self, path: Path) -> Stamp | None:
        """See `flowrunner.read.files.Files`."""
        stamp = self._files.stamp(path)
        if stamp is None:
            self._note(path, errno.ENOENT)
        return stamp

    def read(self, path: Path) -> bytes:
        """See `flowrunner.read.files.Files`."""
        try:
            data = self._files.read(path)
        except OSError as error:
            self._note(path, error.errno or errno.EIO)
            raise
        except ValueError:
            self._note(path, errno.ENOENT)
            raise
        self._note(path, data)
        return data

    def take(self, settings: Settings, at: float) -> Delta:
        """What changed since it was taken last."""
        self._number += 1
        names = self._names if self._has_new_names else None
        fresh, self._fresh, self._has_new_names = self._fresh, {}, False
        return Delta(self._number, at, fresh, names, settings)

    def _note(self, path: Path, content: Content) -> None:
        if self._known.get(path) != content:
            self._known[path] = self._fresh[path] = content


class Snapshot:
    """Files as deltas tell of them: what stands for the disk in a worker."""

    def __init__(self) -> None:
        self._contents: dict[Path, Content] = {}
        self._changed: dict[Path, int] = {}
        self._names: tuple[str, ...] = ()

    def take(self, delta: Delta) -> None:
        """Become what the files are after a delta."""
        self._contents |= delta.files
        self._changed |= dict.fromkeys(delta.files, delta.number)
        if delta.flow_files is not None:
            self._names = delta.flow_files

    def begin(self) -> None:
        """See `flowrunner.read.files.Files`."""

    def flow_files(self, paths: Sequence[Path]) -> Iterable[str]:  # noqa: ARG002 - they were found elsewhere
        """See `flowrunner.read.files.Files`."""
        return self._names

    def stamp(self, path: Path) -> Stamp | None:
        """See `flowrunner.read.files.Files`."""
        content = self._contents.get(path, errno.ENOENT)
        if content == errno.ENOENT:
            return None
        return self._changed[path], 0, 0, 0, 0

    def read(self, path: Path) -> bytes:
        """See `flowrunner.read.files.Files`."""
        content = self._contents.get(path, errno.ENOENT)
        if isinstance(content, int):
            raise OSError(content, os.strerror(content), str(path))
        return content


class GivenSettings:
    """Settings that were read elsewhere: a `flowrunner.read.settings_file.KeepsSettings`."""

    def __init__(self) -> None:
        self.references: dict[Path, Digest] = {}
        self.settings = Settings()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.reconnect: frozenset[str] = frozenset()
        self.words: Words = frozenset()
        self.stays: tuple[str, ...] = ()
        self._given: Settings | None = None

    def take(self, delta: Delta) -> None:
        """Have the settings of a delta taken up at the next look."""
        self._given = delta.settings

    def refresh(self, look: Look) -> None:  # noqa: ARG002 - they are no files here
        """Take up what was given."""
        given, self._given = self._given, None
        self.words = frozenset() if given is None else frozenset(words_for(self.settings, given))
        self.settings = given or self.settings


@dataclass(frozen=True, slots=True, eq=False)
class _Good:
    """What runs under a name: the numbers of the deltas at which it was good last, and its file the only one."""

    program: object
    file: Path
    made: int
    first: int


class History:
    """The deltas that make of an empty library one with the very versions of flows that run.

    There is one for each state of the files at which a version that still runs was good for the last time, and one for
    each later state in which a flow was gone: one that is there again, with a mistake, must not go on. All others are
    melted into the next. Most of the time that leaves one.
    """

    def __init__(self) -> None:
        self.deltas: tuple[Delta, ...] = ()
        self._good: dict[str, _Good] = {}
        self._gone: dict[str, int] = {}  # by name of a flow, the delta at which it was there no more

    def add(self, delta: Delta, contents: Contents[Any]) -> None:
        """Go on to what the supervisor's library holds after one more delta."""
        is_unclear = any(found.code == "duplicate-flow" for found in contents.diagnostics)  # the first one runs
        before, self._good = self._good, {}
        needed: set[int] = set()
        for name, version in contents.versions.items():
            is_old = version.is_stale or is_unclear
            known = before.get(name)
            is_same = known is not None and known.program is version.program
            is_there = known is not None and known.file == version.file
            good = self._good[name] = _Good(
                version.program,
                version.file,
                known.made if is_old and is_same and known is not None else delta.number,
                known.first if is_unclear and is_there and known is not None else delta.number,
            )
            needed |= {good.made, good.first} if is_old else set()
        gone = self._gone | {name: delta.number for name in before if name not in contents.versions}
        oldest = min(needed, default=delta.number)
        self._gone = {name: at for name, at in gone.items() if name not in contents.versions and at > oldest}
        needed |= set(self._gone.values())
        self.deltas = _melted([*self.deltas, delta], needed)


def _melted(deltas: Sequence[Delta], needed: Collection[int]) -> tuple[Delta, ...]:
    found: list[Delta] = []
    for delta in deltas:
        if found and found[-1].number not in needed:
            found[-1] = found[-1].before(delta)
        else:
            found.append(delta)
    return tuple(found)
