"""Turns files and folders of flows into what the system is asked to watch, and tells which of its news matter."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import field
from os.path import abspath, basename, dirname, isdir, islink, join

from flowrunner.read.contents import Places
from flowrunner.read.load import ENDINGS, is_hidden, walk_folders
from flowrunner.records import dataclass

_MOST_LINKS = 40  # on the way to one file, as in Linux

Folder = tuple[str, int, int]
"""A folder and its place on the disk: one that was made anew under the same name is another one."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is watched: `folders`, each for what happens right in it.

    In those of `searched` every flow file matters, and every folder. Elsewhere only what is in `known` does: flow files
    and what they refer to, folders, links on the way to any of these, and where one of them may appear.
    """

    folders: frozenset[Folder] = frozenset()
    searched: frozenset[str] = field(default=frozenset(), compare=False)
    known: frozenset[str] = field(default=frozenset(), compare=False)

    def matters(self, path: str) -> bool:
        """Whether something that happened to a path may change what runs."""
        if path in self.known:
            return True
        folder, _, name = path.rpartition("/")
        if folder not in self.searched or is_hidden(name):
            return False
        return name.endswith(ENDINGS) or isdir(path)


def look_around(places: Places) -> Sight:
    """The sight on places as they are now."""
    found = [folder for root in places.folders for folder, _ in walk_folders(root)]
    roots = [abspath(root) for root in places.folders]
    paths = [*roots, *map(abspath, places.files)]
    really: dict[str, str] = {}
    links: set[str] = set()
    for folder in {*map(abspath, found), *map(dirname, paths)}:
        really[folder], on_the_way = follow(folder)
        links.update(on_the_way)
    searched = {spelling for folder in map(abspath, found) for spelling in (folder, really[folder])}
    known = {*searched, *paths}
    for path in paths:
        real, on_the_way = follow(path) if islink(path) else (join(really[dirname(path)], basename(path)), [])
        known.add(real)
        links.update(on_the_way)
    known |= links
    reached, awaited = _nearest({*searched, *map(dirname, known)})
    return Sight(frozenset(_identified(reached)), frozenset(searched), frozenset(known | awaited))


def follow(path: str) -> tuple[str, list[str]]:
    """Where a path leads, and every link on the way to it."""
    links: list[str] = []
    here, waiting = "/", [part for part in reversed(path.split("/")) if part]
    while waiting:
        part = waiting.pop()
        here = dirname(here) if part == ".." else here if part == "." else join(here, part)
        if islink(here) and len(links) < _MOST_LINKS:
            links.append(here)
            target = os.readlink(here)
            here = "/" if target.startswith("/") else dirname(here)
            waiting += [part for part in reversed(target.split("/")) if part]
    return here, links


def _nearest(folders: Iterable[str]) -> tuple[set[str], set[str]]:
    """The folders, or what there is of the way to each, and the paths that would have to appear there."""
    reached: set[str] = set()
    awaited: set[str] = set()
    for folder in folders:
        here = folder
        while not isdir(here) and here != dirname(here):
            awaited.add(here)
            here = dirname(here)
        reached.add(here)
    return reached, awaited


def _identified(folders: Iterable[str]) -> Iterator[Folder]:
    """The folders with their places on the disk, each under one name."""
    seen: set[tuple[int, int]] = set()
    for folder in sorted(folders):
        try:
            status = os.stat(folder)
        except OSError:
            continue
        place = (status.st_dev, status.st_ino)
        if place not in seen:
            seen.add(place)
            yield folder, *place
