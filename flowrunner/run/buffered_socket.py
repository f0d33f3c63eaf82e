"""Turns a socket, encrypted or inside a WebSocket, into one whose unread bytes can be seen."""

import ssl
from collections.abc import Callable

from flowrunner.run.link import SocketLike

_CHUNK = 65_536
_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BufferedSocket:
    """Reads in chunks what paho asks for byte by byte, so that nothing stays unseen behind TLS or a WebSocket."""

    def __init__(self, socket: SocketLike) -> None:
        self._socket = socket
        self._buffer = b""
        self._place = 0
        self._error: OSError | None = None
        self._is_over = False
        self._pending: Callable[[], int] = getattr(socket, "pending", lambda: 0)

    @property
    def has_news(self) -> bool:
        """Whether `recv` has something to give: bytes, or that there will be no more."""
        return self._place < len(self._buffer) or self._is_over

    @property
    def has_more(self) -> bool:
        """Whether there are bytes that a selector cannot see."""
        return not self._is_over and self._pending() > 0

    def fill(self) -> None:
        """Read what is there, up to one chunk."""
        try:
            data = self._socket.recv(_CHUNK)
        except _AGAIN:
            return
        except OSError as error:
            self._error, self._is_over = error, True
            return
        self._buffer = self._buffer[self._place :] + data
        self._place = 0
        self._is_over = not data

    def recv(self, buffer_size: int) -> bytes:
        """Up to so many bytes of what was read."""
        data = self._buffer[self._place : self._place + buffer_size]
        if data:
            self._place += len(data)
            return data
        if self._error is not None:
            raise self._error
        if self._is_over:
            return b""
        raise BlockingIOError

    def send(self, buffer: bytes | bytearray) -> int:
        """Send what can be sent without waiting."""
        return self._socket.send(buffer)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature of sockets
        """Whether calls wait."""
        self._socket.setblocking(flag)
