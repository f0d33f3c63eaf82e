"""Stands between paho and its socket: gives paho its own packets, and sends batches as the network takes them."""

import ssl
from collections import deque
from collections.abc import Callable

from flowrunner.run.link import SocketLike

#: Bytes that are read at a time, and bytes that are given to TLS or a WebSocket at a time.
CHUNK = 65_536
LAYERED_CHUNK = 65_536

_MAPPED = 2 * 1024 * 1024

_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def keep_memory() -> None:
    """Have glibc keep the memory of a batch for the next one.

    It gives free memory back above a threshold (128 KiB), and to get it again for each batch takes as long as to handle
    the batch. The threshold becomes twice the size of any block that was mapped by itself and is freed.
    """
    bytes(_MAPPED)


class WireSocket:
    """What paho reads from and writes to, over one network connection.

    paho gets what `give` is given, and the end. What it sends goes out between batches, never inside one: a packet
    or a batch of which a part has been sent is sent to its end first.
    """

    def __init__(self, socket: SocketLike) -> None:
        self.unsent = 0
        self.is_over = False
        self.has_more = False
        self._socket = socket
        self._pending: Callable[[], int] | None = getattr(socket, "pending", None)
        self._most = LAYERED_CHUNK if self._pending else 1 << 30
        self._control = bytearray()
        self._backlog: deque[memoryview] = deque()
        self._is_inside_packet = False  # of paho's
        self._error: OSError | None = None

    @property
    def has_control(self) -> bool:
        """Whether paho has something to read."""
        return bool(self._control)

    @property
    def is_blocked(self) -> bool:
        """Whether something waits for the network, be it ours or paho's."""
        return self.unsent > 0 or self._is_inside_packet

    def fill(self) -> bytes:
        """Read what is there, up to a chunk; `has_more` if a selector may know nothing of what is left."""
        self.has_more = False
        if self.is_over:
            return b""
        if self._pending is None:
            return self._read()
        parts: list[bytes] = []
        size = 0
        while size < CHUNK and (part := self._read()):
            parts.append(part)
            size += len(part)
        self.has_more = not self.is_over and (size >= CHUNK or self._pending() > 0)
        return b"".join(parts)

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(CHUNK)
        except _AGAIN:
            return b""
        except OSError as error:
            self._error, self.is_over = error, True
            return b""
        self.is_over = not data
        return data

    def put(self, data: bytes) -> None:
        """Send a batch; what the network does not take now is kept."""
        self.unsent += len(data)
        if data:
            self._backlog.append(memoryview(data))
        self.flush()

    def flush(self) -> None:
        """Send what was kept, as far as the network takes it."""
        backlog = self._backlog
        try:
            while backlog and not self._is_inside_packet and not self.is_over:
                rest = backlog[0]
                sent = self._socket.send(rest[: self._most])  # type: ignore[arg-type]  # every socket takes it
                self.unsent -= sent
                if sent == len(rest):
                    backlog.popleft()
                elif sent:
                    backlog[0] = rest[sent:]
                else:  # paho's WebSocket has kept the frame
                    return
        except _AGAIN:
            return
        except OSError:
            self._drop()

    def give(self, packet: bytes) -> None:
        """Let paho read a packet."""
        self._control += packet

    def recv(self, buffer_size: int) -> bytes:
        """See `SocketLike`."""
        if self._control:
            data = bytes(self._control[:buffer_size])
            del self._control[:buffer_size]
            return data
        if self._error is not None:
            raise self._error
        if self.is_over:
            return b""
        raise BlockingIOError

    def send(self, buffer: bytes | bytearray) -> int:
        """See `SocketLike`. paho closes when its DISCONNECT is sent, so what stands before it must be out by then."""
        if not self._is_inside_packet:
            self.flush()
            if self.unsent:
                raise BlockingIOError
        self._is_inside_packet = True
        sent = self._socket.send(buffer)
        if not sent:  # paho's WebSocket has kept the frame; paho would lose the packet
            raise BlockingIOError
        self._is_inside_packet = sent < len(buffer)
        return sent

    def close(self) -> None:
        """Close the socket; what was not sent is lost."""
        self.is_over = True
        self._drop()
        self._socket.close()

    def _drop(self) -> None:
        self._backlog.clear()
        self.unsent = 0

    def fileno(self) -> int:
        """See `SocketLike`."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature of sockets
        """See `SocketLike`."""
        self._socket.setblocking(flag)
