"""Turns files into digests of their content, and reads only those whose size or times changed."""

from collections.abc import Callable, Collection
from hashlib import blake2b
from pathlib import Path

from flowrunner.read.files import Disk, Files, Stamp

Digest = bytes | None
"""The digest of a file's content: None if it is not there, empty if it cannot be read."""


class Look:
    """One look after another at files. Within one look a file is the same however often it is asked for."""

    def __init__(self, files: Files | None = None) -> None:
        self._files = files or Disk()
        self._known: dict[Path, tuple[Stamp, Digest]] = {}
        self._seen: dict[Path, Digest] = {}
        self._touched: frozenset[tuple[int, ...]] = frozenset()

    def begin(self, touched: Collection[Path]) -> None:
        """Look anew; `touched` are read even where nothing else tells that they changed."""
        self._files.begin()
        self._seen = {}
        self._touched = frozenset(stamp[3:] for path in touched if (stamp := self._files.stamp(path)))

    def digest(self, path: Path) -> Digest:
        """The digest of a file."""
        if path not in self._seen:
            stamp = self._files.stamp(path)
            known = self._known.get(path)
            if stamp is None:
                self._seen[path] = None
            elif known is not None and known[0] == stamp and stamp[3:] not in self._touched:
                self._seen[path] = known[1]
            else:
                self._try(path)
        return self._seen[path]

    def read(self, path: Path) -> bytes:
        """The content of a file. Raises OSError or ValueError, as `Path.read_bytes` does."""
        stamp = self._files.stamp(path)  # before the content: what changes in between is seen at the next look
        digest: Digest = b""
        try:
            data = self._files.read(path)
            digest = blake2b(data, digest_size=16).digest()
        except FileNotFoundError:
            digest = None
            raise
        finally:
            self._seen[path] = digest
            if stamp is not None:
                self._known[path] = (stamp, digest)
        return data

    def recorder(self, digests: dict[Path, Digest]) -> Callable[[Path], bytes]:
        """A function that reads a file and notes the digest of what it gave."""

        def read(path: Path) -> bytes:
            try:
                return self.read(path)
            finally:
                digests[path] = self._seen[path]

        return read

    def forget(self, kept: Collection[Path]) -> None:
        """Know nothing any more of files other than these."""
        self._known = {path: known for path, known in self._known.items() if path in kept}

    def _try(self, path: Path) -> None:
        try:
            self.read(path)
        except (OSError, ValueError):
            return
