"""Turns what happens on the disk into the files that may have changed, once it is quiet again."""

from collections.abc import Callable, Collection
from os.path import lexists
from pathlib import Path
from typing import Protocol, Self

from flowrunner.read.contents import Places
from flowrunner.run.sight import Sight, look_around

#: Seconds of silence after which an edit is complete; longer where a file is gone, which may be about to come back.
QUIET = 0.05
GONE = 0.25

#: Where it is never quiet, so many times is waited for it.
MOST_PATIENCE = 20

Wanted = Callable[[str], bool]


class Disk(Protocol):
    """Tells what happens right in some folders."""

    async def watch(self, folders: Collection[str], wanted: Wanted) -> None:
        """Watch these folders from now on, and no others; nothing that happens meanwhile in both is missed."""

    async def changes(self, patience: float | None) -> Collection[str]:
        """The paths that changed and are wanted, as soon as there are any; none if none did for so many seconds."""

    async def aclose(self) -> None:
        """Watch nothing any more."""


class Changes:
    """An endless stream of sets of files that may have changed since they were read; they may be links, or gone.

    `places` says what there is to watch; it is asked again before each wait. A set is empty where anything may have
    changed: at the beginning, and whenever other folders are watched than before.
    """

    def __init__(self, places: Callable[[], Places], disk: Disk) -> None:
        self._places = places
        self._disk = disk
        self._seen: Places | None = None
        self._sight = Sight()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> frozenset[Path]:
        if await self._look_around():
            return frozenset()
        touched = set(await self._disk.changes(None))
        for _ in range(MOST_PATIENCE):
            more = await self._disk.changes(QUIET if all(map(lexists, touched)) else GONE)
            if not more:
                break
            touched.update(more)
        if not all(path in self._sight.known and _is_plain(path) for path in touched):
            self._seen = None
        return frozenset(map(Path, touched))

    async def aclose(self) -> None:
        """Watch nothing any more."""
        await self._disk.aclose()

    async def _look_around(self) -> bool:
        """Watch what is to be watched now; whether that is not what was."""
        places, before = self._places(), self._sight
        if places == self._seen:
            return False
        self._sight, self._seen = look_around(places), places
        if self._sight == before:
            return False
        try:
            await self._disk.watch([folder for folder, _, _ in self._sight.folders], self._matters)
        except FileNotFoundError:  # one of the folders has just gone: look again at the next turn
            self._sight, self._seen = before, None
        return True

    def _matters(self, path: str) -> bool:
        return self._sight.matters(path)


def _is_plain(path: str) -> bool:
    """Whether a path is a file, and no link: then it says nothing about other files."""
    return Path(path).is_file() and not Path(path).is_symlink()
