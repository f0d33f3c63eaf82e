"""Turns flow files that change into the versions of flows that shall run: what is broken stays as it was."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Generic

from flowrunner.diagnostics import Diagnostic, has_errors
from flowrunner.errors import FlowError
from flowrunner.plugins import as_diagnostic
from flowrunner.read.contents import Contents, Places, Program, Version
from flowrunner.read.digests import Digest, Look
from flowrunner.read.document import read_bytes
from flowrunner.read.files import Disk, Files
from flowrunner.read.flow import Flow, FlowFile, never_called, read_flow_file
from flowrunner.read.index import NameIndex
from flowrunner.read.load import SETTINGS_FILE, find_settings, same_name, shown_name, unreadable
from flowrunner.read.settings import Settings
from flowrunner.read.settings_file import KeepsSettings, SettingsFile, is_concerned
from flowrunner.records import dataclass
from flowrunner.step import Step

_NEVER_READ = b"never read"


@dataclass(slots=True)
class _File(Generic[Program]):
    """A flow file: its text, what its flows refer to (the digest of each file as it was read), and what came of it.

    It is broken if it holds an error, or depends on one in another file.
    """

    digest: Digest = _NEVER_READ
    text: str = ""
    references: dict[Path, Digest] = field(default_factory=dict)
    found: FlowFile = FlowFile([], None, [])
    versions: dict[str, Version[Program]] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    is_broken: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names of its flows, whether they run or not."""
        return frozenset(self.versions).union(self.found.names or ())


class Library(Generic[Program]):
    """The flow files of paths, and the last good version of each flow.

    `compile` makes of a flow what runs, or raises FlowError. `refresh` reads and compiles again what changed, and only
    that; on any mistake the old version stays. `files` and `settings` stand for the disk and for the settings file that
    is on it. The other parameters are those of `flowrunner.read.load.load`.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        compile: Callable[[Flow], Program],
        *,
        steps: Mapping[str, type[Step]] | None = None,
        environment: Mapping[str, str] | None = None,
        url: str | None = None,
        allow: frozenset[str] | None = frozenset(),
        now: Callable[[], float] = time.time,
        files: Files | None = None,
        settings: KeepsSettings | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._folders = tuple(path for path in self._paths if path.is_dir())
        self._compile = compile
        self._broken_plugins: tuple[Diagnostic, ...] = ()
        if steps is None:
            from flowrunner.steps import all_steps, plugin_errors

            steps = all_steps()
            self._broken_plugins = tuple(as_diagnostic(error) for error in plugin_errors())
        self._steps = steps
        self._allow = allow
        self._now = now
        self._from = files or Disk()
        self._look = Look(self._from)
        surroundings = os.environ if environment is None else environment
        self._settings = settings or SettingsFile(self._paths, surroundings, url)
        self._known: dict[str, Path] = {}
        self._absolute: dict[str, Path] = {}
        self._files: dict[Path, _File[Program]] = {}
        self._index = NameIndex(lambda: self._files, self._look)
        self.contents: Contents[Program] = Contents()

    def refresh(self, touched: Collection[Path] = ()) -> Contents[Program]:
        """Look at all files, and read those that changed. Raises nothing that a file could be the reason for.

        Whether a file changed is seen from its size and times; of those in `touched` the content is compared. Where
        these are flow files that are known, no others are looked at.
        """
        for _ in self.refreshing(touched):
            pass
        return self.contents

    def refreshing(self, touched: Collection[Path] = ()) -> Iterator[None]:
        """The same in small pieces, so that others get their turn in between; `contents` is new afterwards."""
        self._look.begin(touched)
        were_settings_broken = has_errors(self._settings.diagnostics)
        self._settings.refresh(self._look)
        asked = None if self._settings.words else self._known_ones(touched)
        found = self._find() if asked is None else dict.fromkeys(self._files)
        looked_at = found if asked is None else asked
        broken = {path for path, file in self._files.items() if file.is_broken}
        edited = [path for path in self._files if path not in found]
        names = {name for path in edited for name in self._files[path].names}
        self._files = {path: self._files.get(path) or _File() for path in found}
        self._index.forget()
        yield
        changed = [path for path in looked_at if self._is_edited(path, self._files[path])]
        edited += changed
        waiting = list(dict.fromkeys([*changed, *(path for path in looked_at if self._is_old(path))]))
        read: list[Path] = []
        while waiting := waiting or self._callers(read, names):
            mistakes: dict[Path, Sequence[Diagnostic]] = {}
            for path in waiting:
                yield
                names |= self._files[path].names
                mistakes[path] = self._read(path)
            for path in waiting:  # all of one kind of work after the other: that is a quarter faster
                yield
                self._replace(path, mistakes[path])
                names |= self._files[path].names
            read += waiting
            waiting = []
        yield
        mended = [path for path in self._files if path in broken and not self._files[path].is_broken]
        settings = find_settings(self._paths)
        if settings and were_settings_broken and not has_errors(self._settings.diagnostics):
            mended.append(settings)
        self.contents = self._assemble(edited, read, mended)
        self._look.forget(self.contents.places.files)

    def _find(self) -> dict[Path, None]:
        """All flow files there are; a path that is gone has none."""
        names = self._from.flow_files(self._paths)
        self._known = {name: self._known.get(name) or Path(name) for name in names}
        self._absolute = {}
        return dict.fromkeys(self._known.values())

    def _known_ones(self, touched: Collection[Path]) -> list[Path] | None:
        """The flow files that were touched, if it was nothing else: then the others need not be looked at."""
        if not self._absolute:
            self._absolute = {os.path.abspath(path): path for path in self._files}  # noqa: PTH100 - links stay links
        found = [self._absolute.get(os.path.abspath(path)) for path in touched]  # noqa: PTH100
        known = [path for path in found if path is not None and path.is_file()]
        return known if known and len(known) == len(found) else None

    def _is_edited(self, path: Path, file: _File[Program]) -> bool:
        return file.digest == _NEVER_READ or self._look.digest(path) != file.digest

    def _is_old(self, path: Path) -> bool:
        """Whether something changed that a file depends on."""
        file = self._files[path]
        if any(self._look.digest(other) != digest for other, digest in file.references.items()):
            return True
        words = self._settings.words
        return bool(words) and (file.is_broken or is_concerned(file.text, words))

    def _read(self, path: Path) -> Sequence[Diagnostic]:
        """Read one file; returns what keeps it from being read as YAML."""
        file, name = self._files[path], shown_name(path)
        file.references = {}
        try:
            source, mistakes = read_bytes(name, self._look.read(path))
        except OSError as error:
            source, mistakes = None, [unreadable(name, error)]
        file.digest = self._look.digest(path)
        file.text = source.text if source else ""
        file.found = FlowFile([], None, [])
        if source:
            read = self._look.recorder(file.references)
            file.found = read_flow_file(
                source,
                name=path.stem,
                folder=path.parent,
                settings=self._allowed(),
                steps=self._steps,
                read=read,
                index=self._index,
            )
        return mistakes

    def _allowed(self) -> Settings:
        return replace(self._settings.settings, allow=self._allow)

    def _replace(self, path: Path, mistakes: Sequence[Diagnostic]) -> None:
        """Compile what was read, and put new versions in the place of old ones, of which the others stay."""
        file = self._files[path]
        found = file.found
        diagnostics = [*mistakes, *found.diagnostics]
        good: dict[str, Version[Program]] = {}
        for flow in found.flows:
            try:
                good[flow.name] = Version(flow, self._compile(flow), path, self._now())
            except FlowError as error:
                diagnostics += error.diagnostics
        old = {name: version for name, version in file.versions.items() if name not in good}
        names = frozenset(old) if found.names is None else found.names
        # one that is gone beside a new one with mistakes may be the same under another name
        is_clear = names <= {*good, *old, *found.without_source}
        stale = {name: replace(old[name], is_stale=True) for name in old if name in names or not is_clear}
        file.versions = {**good, **stale}
        file.diagnostics = tuple(diagnostics)
        file.is_broken = has_errors(diagnostics) or not names <= {*good, *found.without_source}

    def _callers(self, read: Collection[Path], names: Collection[str]) -> list[Path]:
        """Files with flows that call one of these, without those that were read again already."""
        done = set(read)
        callers = [path for path, file in self._files.items() if not file.found.calls.isdisjoint(names)]
        return [path for path in callers if path not in done]

    def _drop_what_is_only_called(self) -> None:
        """End the old versions of flows that have no source any more, and that others call."""
        called = frozenset[str]().union(*(file.found.calls for file in self._files.values()))
        for file in self._files.values():
            for name in file.found.without_source:
                if name in called:
                    file.versions.pop(name, None)

    def _assemble(self, edited: Sequence[Path], read: Sequence[Path], mended: Sequence[Path]) -> Contents[Program]:
        """Put together what shall run. Of two flows with one name the one stays that was there before."""
        before = self.contents
        self._drop_what_is_only_called()
        without = never_called(file.found for file in self._files.values())
        owners = {name: version.file for name, version in before.versions.items()}
        everything = [version for file in self._files.values() for version in file.versions.values()]
        versions: dict[str, Version[Program]] = {}
        for version in everything:
            name = version.flow.name
            if name not in versions or owners.get(name) == version.file:
                versions[name] = version
        chosen = [(version.flow, versions[version.flow.name].flow) for version in everything]
        same = [same_name(flow, other) for flow, other in chosen if flow is not other]
        own = [diagnostic for file in self._files.values() for diagnostic in file.diagnostics]
        diagnostics = tuple(dict.fromkeys([*self._broken_plugins, *self._settings.diagnostics, *own, *without, *same]))
        known = set(before.diagnostics)
        return Contents(
            versions,
            self._allowed(),
            diagnostics,
            tuple(diagnostic for diagnostic in diagnostics if diagnostic not in known),
            tuple(edited),
            tuple(read),
            tuple(mended),
            self._settings.reconnect,
            self._places(),
            self._settings.stays,
        )

    def _places(self) -> Places:
        """What to keep an eye on from now on."""
        homes = {path if path in self._folders else path.parent for path in self._paths}
        # one that appears a folder further up is not read, and that is said
        homes |= {Path(os.path.abspath(folder)).parent for folder in homes}  # noqa: PTH100 - links stay links
        files = {*self._files, *self._paths, *(folder / SETTINGS_FILE for folder in homes), *self._settings.references}
        for file in self._files.values():
            files.update(file.references)
        return Places(self._folders, frozenset(files.difference(self._folders)))
