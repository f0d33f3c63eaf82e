"""Turns a fresh process into a worker: its number and the descriptor of its end of the channel are its arguments."""

import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

#: What the supervisor hears of, and the worker does not obey: a terminal sends these to both.
QUIET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Be a worker until the supervisor ends it, or goes."""
    for number in QUIET:
        signal.signal(number, _do_nothing)  # a handler, since what is ignored stays so in programs of the step `exec`
    signal.pthread_sigmask(signal.SIG_UNBLOCK, QUIET)
    end = socket.socket(fileno=int(sys.argv[2]))
    end.set_inheritable(False)
    try:
        work = _arrive(end)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor says it
        _confess(end, error)
        sys.exit(1)
    work(int(sys.argv[1]), end)


def _arrive(end: socket.socket) -> Callable[[int, socket.socket], object]:
    """Find what the supervisor has found, and import it."""
    (size,) = struct.unpack(">I", _read(end, 4))
    sys.path[:] = pickle.loads(_read(end, size))  # noqa: S301 - it comes from the process that started us
    from flowrunner.workers.worker import work

    return work


def _confess(end: socket.socket, error: BaseException) -> None:
    """Say why nothing comes of it, as `Channel.tell` would."""
    from contextlib import suppress

    data = pickle.dumps((0, 0, f"{type(error).__name__}: {error}"))
    with suppress(OSError):
        end.sendall(struct.pack(">I", len(data)) + data)


def _read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = end.recv(size - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def _do_nothing(*_: Any) -> None:
    """Leave it to the supervisor."""


if __name__ == "__main__":
    main()
