"""Turns files that change into the files of flows by name, looking again only into those whose content changed."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from flowrunner.read.calls import entries_in
from flowrunner.read.digests import Digest, Look
from flowrunner.read.load import shown_name


class NameIndex:
    """Knows in which of some files a flow is; see `flowrunner.read.calls.Index`. Nothing is read before it is asked."""

    def __init__(self, paths: Callable[[], Iterable[Path]], look: Look) -> None:
        self._paths = paths
        self._look = look
        self._names: dict[Path, tuple[Digest, tuple[str, ...]]] = {}
        self._known: Mapping[str, Path] | None = None

    def forget(self) -> None:
        """Ask for the files again before the next answer."""
        self._known = None

    def path_of(self, name: str) -> Path | None:
        """The file of a flow, the first one where there are several."""
        return self._all().get(name)

    def names(self) -> Iterable[str]:
        """The names of all flows."""
        return self._all()

    def shown(self, path: Path) -> str:
        """What a file is called where it is shown."""
        return shown_name(path)

    def _all(self) -> Mapping[str, Path]:
        if self._known is None:
            before, self._names = self._names, {}
            known: dict[str, Path] = {}
            for path in self._paths():
                digest = self._look.digest(path)
                kept = before.get(path)
                names = kept[1] if kept is not None and kept[0] == digest else names_in(path, self._look)
                self._names[path] = (digest, names)
                for name in names:
                    known.setdefault(name, path)
            self._known = known
        return self._known


def names_in(path: Path, look: Look) -> tuple[str, ...]:
    """The names of the flows of a file."""
    try:
        data = look.read(path)
    except OSError:
        return ()
    entries = entries_in(data, path, path.name) if b"flows" in data else ()
    return tuple(entries) or (path.stem,)
