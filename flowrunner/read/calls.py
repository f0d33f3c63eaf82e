"""Turns the name of a flow that another one calls into the steps that are taken from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flowrunner.diagnostics import Diagnostic, has_errors, name_list, suggest
from flowrunner.options.nested import Called
from flowrunner.read.document import read_bytes, read_document
from flowrunner.read.nodes import Map, Scalar
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.text import Source

if TYPE_CHECKING:
    from flowrunner.read.flow import Flow

#: Calls of which one flow may consist, and how deep they may be nested: a few flows that call each other several times
#: would come to millions.
MOST_CALLS = 500
DEEPEST_CALL = 20

Read = Callable[[Path], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A flow as it stands in its file, not read yet."""

    name: str
    node: Map
    source: Source
    folder: Path


Entries = Mapping[str, Entry]


class Index(Protocol):
    """Knows in which files the flows are."""

    def path_of(self, name: str) -> Path | None:
        """The file of a flow."""

    def names(self) -> Iterable[str]:
        """The names of all flows."""

    def shown(self, path: Path) -> str:
        """What a file is called where it is shown."""


class NoIndex:
    """Knows of no file."""

    def path_of(self, name: str) -> Path | None:  # noqa: ARG002
        """None."""
        return None

    def names(self) -> Iterable[str]:
        """No name."""
        return ()

    def shown(self, path: Path) -> str:
        """The path."""
        return path.as_posix()


class FileIndex:
    """The flows of files, which are looked through when the first name is asked for; `forget` when they changed."""

    def __init__(self, paths: Callable[[], Iterable[Path]], shown: Callable[[Path], str]) -> None:
        self.paths = paths
        self.shown = shown
        self.known: dict[str, Path] | None = None

    def forget(self) -> None:
        """Look through the files again before the next answer."""
        self.known = None

    def path_of(self, name: str) -> Path | None:
        """The file of a flow, the first one where there are several."""
        return self._known().get(name)

    def names(self) -> Iterable[str]:
        """The names of all flows."""
        return self._known()

    def _known(self) -> dict[str, Path]:
        if self.known is None:
            self.known = {}
            for path in self.paths():
                for name in _names_in(path):
                    self.known.setdefault(name, path)
        return self.known


def _names_in(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError:
        return []
    return [*entries_in(data, path, path.name)] or [path.stem]


def entries_in(data: bytes, path: Path, shown: str) -> Entries:
    """The flows of a file; none if it holds mistakes that leave it open what is meant."""
    source, _ = read_bytes(shown, data)
    if source is None:
        return {}
    node, mistakes = read_document(source)
    if has_errors(mistakes) or not isinstance(node, Map):
        return {}
    return entries_of(node, path.stem, source, path.parent)


def entries_of(node: Map, name: str, source: Source, folder: Path) -> Entries:
    """The flows of a file: one that is called `name`, or those below `flows:`."""
    several = node.get("flows")
    if several is None:
        return {name: Entry(name, node, source, folder)}
    if not isinstance(several.value, Map):
        return {}
    maps = [(entry.key.text, entry.value) for entry in several.value if isinstance(entry.value, Map)]
    return {key: Entry(key, value, source, folder) for key, value in maps}


@dataclass(slots=True)
class Library:
    """Where the flows are that a flow may call: in its own file, or in another one, read with `read`.

    `opened` are the files by the name under which they are shown.
    """

    index: Index = field(default_factory=NoIndex)
    read: Read = Path.read_bytes
    opened: dict[str, Entries] = field(default_factory=dict)

    def find(self, name: str, own: Entries) -> tuple[Entry, Entries] | None:
        """A flow, and all flows of its file. Raises Refused where it is in a file that holds mistakes."""
        if name in own:
            return own[name], own
        path = self.index.path_of(name)
        if path is None:
            return None
        shown = self.index.shown(path)
        if shown not in self.opened:
            try:
                self.opened[shown] = entries_in(self.read(path), path, shown)
            except OSError:
                self.opened[shown] = {}
        entries = self.opened[shown]
        if name not in entries:
            raise Refused
        return entries[name], entries

    def refuse_unknown(self, name: Scalar, own: Entries, report: Report) -> Refused:
        """Report that there is no such flow."""
        known = sorted({*own, *self.index.names()})
        near = suggest(name.text, known)
        help = f"did you mean `{near}`?" if near else f"there are {name_list(known)}"
        diagnostic = Diagnostic("unknown-flow", f"there is no flow `{name.text}`", name.span, helps=(help,))
        return report.refuse(diagnostic)


@dataclass(slots=True)
class Calls:
    """The calls of a flow: `chain` are the names from the flow that runs to the one that is being read.

    `names` gathers whom it calls, at any depth, also those that are not there, `files` what they refer to. `is_broken`
    says that one of them holds a mistake, which is shown where it stands; `is_too_large` that there are too many; and
    `circle` is the way on which one of them comes back to itself.
    """

    chain: tuple[str, ...]
    own: Entries
    library: Library
    check: "Callable[[Entry, Report, Calls], Flow]"
    names: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    is_broken: bool = False
    is_too_large: bool = False
    circle: tuple[str, ...] = ()

    def open(self, name: Scalar, report: Report) -> Called:
        """The steps of a flow. Raises Refused, after a report unless the mistake is shown elsewhere."""
        self.names.append(name.text)
        if name.text in self.chain:
            self.circle = (*self.chain[self.chain.index(name.text) :], name.text)
            raise self.refuse_circle(name, report)
        if len(self.names) > MOST_CALLS or len(self.chain) > DEEPEST_CALL:
            self.is_too_large = True
            raise self.refuse_size(name, report)
        try:
            found = self.library.find(name.text, self.own)
        except Refused:
            self.is_broken = True
            raise
        if found is None:
            raise self.library.refuse_unknown(name, self.own, report)
        return self.take(name, *found, report)

    def take(self, name: Scalar, entry: Entry, own: Entries, report: Report) -> Called:
        """Read and check a flow, as if it stood for itself, for the steps that it gives."""
        inner = Calls((*self.chain, name.text), own, self.library, self.check, self.names)
        apart = Report()
        try:
            flow = self.check(entry, apart, inner)
        except Refused:
            flow = None
        if inner.circle:
            self.circle = inner.circle
            raise self.refuse_circle(name, report)
        if inner.is_too_large:
            self.is_too_large = True
            raise self.refuse_size(name, report)
        if flow is None or has_errors(apart.diagnostics):
            self.is_broken = True
            raise Refused
        self.files += flow.files
        return Called(name.text, flow.steps, flow.constants)

    def refuse_circle(self, name: Scalar, report: Report) -> Refused:
        """Report that a flow comes back to itself: where it begins, not where it is called from elsewhere."""
        own = self.chain[-1]
        if own not in self.circle:
            self.is_broken = True
            return Refused()
        at = self.circle.index(own)
        way = " -> ".join(f"`{step}`" for step in (*self.circle[at:-1], *self.circle[:at], own))
        helps = ("a flow that calls itself would never end; what both need belongs into a third flow",)
        return report.refuse(Diagnostic("endless-call", f"`{own}` calls itself: {way}", name.span, helps=helps))

    def refuse_size(self, name: Scalar, report: Report) -> Refused:
        """Report that there are too many calls."""
        message = f"a flow may consist of {MOST_CALLS} calls, nested {DEEPEST_CALL} deep, and not more"
        helps = ("a flow that calls another twice, which calls a third twice, holds the third four times",)
        return report.refuse(Diagnostic("endless-call", message, name.span, helps=helps))
