"""Finds the runners of this machine that run flows of some paths, and asks them over their local sockets."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click

from flowrunner.cli.options import Misuse
from flowrunner.cli.paths import DEFAULT_PATH
from flowrunner.errors import ConnectionFailed
from flowrunner.run.local_place import has_local_sockets, known_paths, process_of

#: Seconds that a runner may take for the answer to a request.
PATIENCE = 10.0

Object = dict[str, Any]


class NoRunner(ConnectionFailed):
    """There is no runner that could be asked."""


@dataclass(slots=True)
class Talk:
    """A conversation with one runner. Ends with `close`, or as a context."""

    process: int
    _socket: socket.socket
    _received: bytes = b""

    def ask(self, **request: Any) -> Object:
        """The answer to a request. Raises Misuse for one that is refused, NoRunner where the runner goes away."""
        self.say(**request)
        answer = self.hear(PATIENCE)
        if answer is None:
            raise NoRunner(f"the runner (process {self.process}) does not answer")
        if isinstance(error := answer.get("error"), dict):
            raise Misuse(str(error.get("message", "")), str(error.get("help", "")))
        return answer

    def say(self, **request: Any) -> None:
        """Send a request."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise NoRunner(f"the runner (process {self.process}) has ended") from None

    def hear(self, timeout: float | None = None) -> Object | None:
        """The next object; None if there is none within so many seconds. Raises NoRunner where there is no more."""
        self._socket.settimeout(timeout)
        while b"\n" not in self._received:
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError:
                more = b""
            if not more:
                raise NoRunner(f"the runner (process {self.process}) has ended")
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        found: Object = json.loads(line)
        return found

    def close(self) -> None:
        """Have the runner know that nobody listens."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_runners(paths: tuple[Path, ...], process: int | None = None) -> list[Talk]:
    """The runners of the folder of some paths, or the one process that is named.

    Without paths it is `flows/`, then the folder in which we are; where there is no `flows/`, the only runner there is.
    Raises NoRunner where there is none.
    """
    if not has_local_sockets():
        raise click.UsageError("this system has no local sockets, by which a runner could be reached")
    if process is not None:
        if found := list(_open_all(None, process)):
            return found
        raise NoRunner(f"no runner of yours is process {process}")
    for path in paths:
        if not path.exists():
            raise Misuse(f"there is no `{path}`")
    for folder in dict.fromkeys(_folder_of(path) for path in paths or (DEFAULT_PATH, Path())):
        if found := list(_open_all(folder)):
            return found
    others = list(_open_all(None))
    if len(others) == 1 and not paths and not DEFAULT_PATH.exists():
        return others
    raise NoRunner(_nobody(paths, others))


def find_runner(paths: tuple[Path, ...], process: int | None = None) -> Talk:
    """The one runner that is meant. Raises Misuse where it may be several, NoRunner where there is none."""
    first, *others = found = find_runners(paths, process)
    if others:
        numbers = " or ".join(f"--process {talk.process}" for talk in found)
        for talk in found:
            talk.close()
        raise Misuse(f"{len(found)} runners run these flows", f"say which: `{numbers}`")
    return first


def _folder_of(path: Path) -> Path:
    """The folder of which a runner of this path says that it runs its flows; see `run`."""
    return path.parent if path.is_file() else path


def _open_all(folder: Path | None, process: int | None = None) -> Iterator[Talk]:
    for path in known_paths(folder):
        if process not in {None, process_of(path)}:
            continue
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:  # left of a process that was killed
            connection.close()
            with suppress(OSError):
                path.unlink()
        except OSError:
            connection.close()
        else:
            yield Talk(process_of(path), connection)


def _nobody(paths: tuple[Path, ...], others: list[Talk]) -> str:
    where = " or ".join(f"`{_folder_of(path)}`" for path in paths) if paths else "`flows` here"
    known = []
    for talk in others:
        with talk, suppress(ConnectionFailed, click.UsageError):
            known.append(f"process {talk.process} in `{talk.ask(ask='status')['folder']}`")
    if known:
        more = f" and {len(known) - 5} more" if len(known) > 5 else ""
        return f"no runner runs {where}; there is {', '.join(known[:5])}{more}"
    return f"no runner of yours runs {where}: `flowrunner run` starts one"
