"""Turns the address where the page is wanted into a socket that listens there."""

import socket

from flowrunner.errors import FlowrunnerError
from flowrunner.records import dataclass

#: Node-RED's port: people of both find the page where they look for it. The next free ones are tried, up to a bound.
HOST, PORT = "127.0.0.1", 1880
_MOST_PORTS = 50


class NotServed(FlowrunnerError):
    """The page cannot be served; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page is wanted. A port that was not asked for may be another one, if it is taken."""

    host: str = HOST
    port: int = PORT
    is_asked_for: bool = False
    is_read_only: bool = False

    def bind(self) -> socket.socket:
        """A socket that listens there. Raises NotServed."""
        ports = [self.port] if self.is_asked_for else [*range(self.port, self.port + _MOST_PORTS), 0]
        reason = ""
        for port in ports:
            try:
                return _listen(self.host, port)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
        raise NotServed(f"the page cannot be served on {self.host}:{self.port}: {reason}")


def parse_place(text: str, *, is_read_only: bool = False) -> Place:
    """Read `HOST:PORT`, `:PORT`, `PORT` or `HOST`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = ("", text) if text.isdigit() else (text, str(PORT))
    elif host.count(":") and not host.startswith("["):
        host, port = text, str(PORT)
    if not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError("give `HOST:PORT`, such as `127.0.0.1:1880`, or `0.0.0.0:1880` for everybody around")
    return Place(host.strip("[]") or HOST, int(port), is_asked_for=True, is_read_only=is_read_only)


def _listen(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, number, _, address = found[0]
    listening = socket.socket(family, kind, number)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
