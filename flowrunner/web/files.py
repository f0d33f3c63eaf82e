"""Turns the flow files of some paths into texts that can be read and replaced: these files, and no others."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from flowrunner.errors import FlowrunnerError
from flowrunner.read.load import ENDINGS, find_files, shown_name

#: Bytes of the largest file that is edited in a browser.
MOST = 1_048_576


class NoSuchFile(FlowrunnerError):
    """No flow file of this name lies under the paths that are served."""


class NotEditable(FlowrunnerError):
    """A file that can be shown at best."""


class Changed(FlowrunnerError):
    """A file is not any more what somebody wants to replace; `text` is what it is now."""

    def __init__(self, text: "Text") -> None:
        super().__init__(f"`{text.name}` was changed on disk meanwhile")
        self.text = text


@dataclass(frozen=True, slots=True)
class Text:
    """What a file holds, and a mark by which the same content is known again."""

    name: str
    text: str
    mark: str


class Files:
    """The flow files of paths, by the names under which they are shown. A name is looked up, never opened."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    def names(self) -> list[str]:
        """The names of all flow files."""
        return sorted(self._known())

    def path(self, name: str) -> Path:
        """The path of a file. Raises NoSuchFile."""
        found = self._known().get(name)
        if found is None:
            raise NoSuchFile(f"there is no flow file `{name[:200]}` here")
        return found

    def read(self, name: str) -> Text:
        """What a file holds. Raises NoSuchFile, NotEditable."""
        path = self.path(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NoSuchFile(f"`{name}` cannot be read: {error.strerror}") from None
        if len(data) > MOST:
            raise NotEditable(f"`{name}` is too large for the page")
        try:
            return Text(name, data.decode(), _mark(data))
        except UnicodeDecodeError:
            raise NotEditable(f"`{name}` is not UTF-8") from None

    def write(self, name: str, text: str, *, mark: str) -> Text:
        """Replace what a file holds, in one step, if it is still what `mark` says.

        Raises Changed if it is not, NoSuchFile, and NotEditable for links that lead out of the paths, and where the
        system does not let us.
        """
        path = self.path(name)
        real = path.resolve()
        if real.suffix not in ENDINGS or not any(_holds(root, real) for root in self._paths):
            raise NotEditable(f"`{name}` leads out of the folders that are served")
        data = text.encode()
        if len(data) > MOST:
            raise NotEditable("the text is too large for the page")
        before = self.read(name)
        if before.mark != mark:
            raise Changed(before)
        try:
            self._replace(real, data, mark)
        except OSError as error:
            raise NotEditable(f"`{name}` cannot be written: {(error.strerror or 'unknown reason').lower()}") from None
        return Text(name, text, _mark(data))

    def _replace(self, path: Path, data: bytes, mark: str) -> None:
        """Put a new file in the place of the old one, with its rights, unless it was changed at the last moment."""
        temporary = path.with_name(f".{path.name}.{token_hex(4)}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(path.stat().st_mode & 0o7777)
            if _mark(path.read_bytes()) != mark:
                raise Changed(self.read(next(name for name, one in self._known().items() if one.resolve() == path)))
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _known(self) -> dict[str, Path]:
        found = (file for path in self._paths if path.exists() for file in find_files(path))
        return {shown_name(file): file for file in found if file.suffix in ENDINGS}


def _mark(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]


def _holds(root: Path, path: Path) -> bool:
    """Whether a path, without links in it, is one that is served, or lies below it."""
    real = root.resolve()
    return path == real or (real.is_dir() and path.is_relative_to(real))
