"""Says what a library of flow files holds at some time: what shall run, what is wrong, and what is to be watched."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Generic, TypeVar

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.flow import Flow
from flowrunner.read.settings import Settings
from flowrunner.records import dataclass

Program = TypeVar("Program")


@dataclass(frozen=True, slots=True, eq=False)
class Version(Generic[Program]):
    """A flow as it was read from its file at some time (`since`, seconds since 1970), and what it was compiled to.

    Where the file was edited since, and nothing can be made of the edit, the version is stale.
    """

    flow: Flow
    program: Program
    file: Path
    since: float
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """What to keep an eye on: folders with all that is in them, and single files (some of which may not exist)."""

    folders: tuple[Path, ...] = ()
    files: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Contents(Generic[Program]):
    """What a library holds after a look at its files.

    `versions` are the flows that shall run, by name. `news` are those of the `diagnostics` that were not there before.
    `edited` are the files whose content changed, `read` all that were read again, `mended` those that held errors and
    hold none now. `reconnect` names the connections whose settings or certificates changed, `stays` the
    settings that changed and cannot do so while flows run.
    """

    versions: Mapping[str, Version[Program]] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    diagnostics: tuple[Diagnostic, ...] = ()
    news: tuple[Diagnostic, ...] = ()
    edited: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    mended: tuple[Path, ...] = ()
    reconnect: frozenset[str] = frozenset()
    places: Places = field(default_factory=Places)
    stays: tuple[str, ...] = ()

    @property
    def stale(self) -> tuple[Version[Program], ...]:
        """The versions that run because nothing can be made of newer ones."""
        return tuple(version for version in self.versions.values() if version.is_stale)
