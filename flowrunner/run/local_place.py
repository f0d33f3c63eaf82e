"""Finds the sockets of runners on this machine: a private folder, and a name for each folder of flows and process."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

#: Bytes of the path of a socket: macOS has room for 103, Linux for 107.
MOST_BYTES = 100

_NAME = "flowrunner"
_ENDING = ".sock"


def has_local_sockets() -> bool:
    """Whether this system has sockets that are files."""
    return hasattr(socket, "AF_UNIX")


def candidates() -> Iterator[Path]:
    """Where sockets may be: what the system gives a service or a user for such things, else a folder of one's own."""
    for given in (os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], f"/run/{_NAME}"):
        if given:
            yield Path(given, "runners")
    for given in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{_user()}"):
        if given:
            yield Path(given, _NAME)
    yield Path(tempfile.gettempdir(), f"{_NAME}-{_user()}")


def own_path(folder: Path) -> Path | None:
    """A path for the socket of this process, which runs flows of a folder; None where no private folder can be had."""
    name = f"{name_of(folder)}-{os.getpid()}{_ENDING}"
    for place in candidates():
        path = place / name
        if len(os.fsencode(path)) <= MOST_BYTES and place.parent.is_dir() and _is_made_private(place):
            return path
    return None


def known_paths(folder: Path | None = None) -> list[Path]:
    """The sockets that there are, of the runners of one folder or of all; some may be left of processes that died."""
    begin = f"{name_of(folder)}-" if folder is not None else ""
    found: dict[Path, None] = {}
    for place in candidates():
        with suppress(OSError):
            if _is_private(place):
                names = sorted(path.name for path in place.iterdir())
                found |= {place / name: None for name in names if name.startswith(begin) and name.endswith(_ENDING)}
    return list(found)


def name_of(folder: Path) -> str:
    """A short name for a folder, wherever it is."""
    return sha256(os.fsencode(folder.resolve())).hexdigest()[:12]


def process_of(path: Path) -> int:
    """The process whose socket it is; 0 if its name is not ours."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _is_made_private(place: Path) -> bool:
    """Whether only this user can look into a folder, which is made if it is not there."""
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        return _is_private(place) and os.access(place, os.W_OK | os.X_OK)
    except OSError:
        return False


def _is_private(place: Path) -> bool:
    """Whether it is a folder of this user (or looked at by the superuser), into which nobody else can look."""
    found = place.lstat()
    is_own = found.st_uid == _user() or _user() == 0
    return stat.S_ISDIR(found.st_mode) and is_own and not found.st_mode & 0o077


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0
