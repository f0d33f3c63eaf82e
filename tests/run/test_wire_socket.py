import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.run.wire_socket import CHUNK, LAYERED_CHUNK, WireSocket
from tests.run.peer import Socket

PACKETS = st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=40)), max_size=12)
ROOMS = st.lists(st.integers(0, 30), min_size=1, max_size=30)


class WebSocket(Socket):
    """Takes as paho's does: a frame that was begun is sent to its end, whatever is given to `send` meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = b""
        self.size = 0

    def pending(self) -> int:
        return 0

    def send(self, buffer: bytes | bytearray) -> int:
        if not self.frame:
            self.frame, self.size = bytes(buffer), len(buffer)
        sent = super().send(self.frame)
        self.frame = self.frame[sent:]
        return 0 if self.frame else self.size


class Paho:
    """Sends its own packets as paho does."""

    def __init__(self, wire: WireSocket) -> None:
        self.wire = wire
        self.queue: list[bytes] = []

    def write(self) -> None:
        while self.queue:
            try:
                sent = self.wire.send(self.queue[0])
            except BlockingIOError:
                return
            assert sent > 0
            self.queue[0] = self.queue[0][sent:]
            if not self.queue[0]:
                del self.queue[0]


@given(PACKETS, ROOMS, st.booleans())
def test_packets_and_batches_are_sent_whole_and_in_order(
    said: list[tuple[bool, bytes]], rooms: list[int], is_websocket: bool
) -> None:
    network = WebSocket() if is_websocket else Socket()
    wire = WireSocket(network)
    paho = Paho(wire)
    network.room = 0
    units: list[bytes] = []
    for turn, (is_ours, data) in enumerate(said):
        # a byte that says whose it is and how long it is, so that what arrives can be taken apart
        unit = bytes((is_ours << 7 | len(data),)) + data
        units.append(unit)
        network.room += rooms[turn % len(rooms)]
        if is_ours:
            wire.put(unit)
        else:
            paho.queue.append(unit)
            paho.write()
    while wire.is_blocked or paho.queue:
        network.room += 5
        wire.flush()
        paho.write()
        wire.flush()
    arrived = []
    rest = bytes(network.taken)
    while rest:
        size = 1 + (rest[0] & 127)
        arrived.append(rest[:size])
        rest = rest[size:]
    assert sorted(arrived) == sorted(units)
    for is_ours in (False, True):
        of_one = [unit for unit in units if (unit[0] > 127) == is_ours]
        assert [unit for unit in arrived if (unit[0] > 127) == is_ours] == of_one


def test_paho_sends_only_when_what_stands_before_is_out() -> None:
    network = Socket()
    wire = WireSocket(network)
    network.room = 3
    wire.put(b"publish")
    with pytest.raises(BlockingIOError):
        wire.send(b"disconnect")
    network.room = 100
    assert wire.send(b"disconnect") == 10
    assert network.taken == b"publishdisconnect"


def test_paho_reads_what_it_is_given_and_then_the_end() -> None:
    network = Socket()
    network.brings = [b"data", ConnectionResetError("gone")]
    wire = WireSocket(network)
    with pytest.raises(BlockingIOError):
        wire.recv(1)
    assert wire.fill() == b"data"
    assert wire.fill() == b""
    wire.give(b"abc")
    assert (wire.recv(1), wire.recv(10)) == (b"a", b"bc")
    with pytest.raises(ConnectionResetError):
        wire.recv(1)
    network = Socket()
    network.brings = [b""]
    wire = WireSocket(network)
    assert (wire.fill(), wire.is_over, wire.recv(1), wire.fill()) == (b"", True, b"", b"")


def test_an_error_in_sending_is_left_to_paho_to_find() -> None:
    class Broken(Socket):
        def send(self, buffer: bytes | bytearray) -> int:
            raise BrokenPipeError(len(buffer))

    wire = WireSocket(Broken())
    wire.put(b"publish")
    assert not wire.is_blocked
    with pytest.raises(BrokenPipeError):
        wire.send(b"disconnect")


def test_what_hides_in_a_websocket_is_read_at_once_up_to_a_chunk() -> None:
    network = WebSocket()
    network.brings = [b"x" * 1000] * 100
    wire = WireSocket(network)
    first = wire.fill()
    assert CHUNK <= len(first) < CHUNK + 1000
    assert wire.has_more
    assert len(first) + len(wire.fill()) == 100_000
    assert not wire.has_more


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Both ends of a connection with TLS."""
    from tests.run.test_connection import make_certificate

    folder: Path = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.check_hostname = False
    here, there = socket.socketpair()
    found: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: found.append(server.wrap_socket(there, server_side=True)))
    thread.start()
    with client.wrap_socket(here) as ours:
        thread.join(10)
        with found[0] as theirs:
            ours.setblocking(False)
            yield ours, theirs


def test_tls_is_read_until_it_wants_more(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    ours, theirs = pair
    wire = WireSocket(ours)
    said = bytes(range(256)) * 2000
    sender = threading.Thread(target=theirs.sendall, args=(said,))
    sender.start()
    got = b""
    while len(got) < len(said):
        got += wire.fill()
        if wire.has_more:
            assert got
    sender.join(10)
    assert got == said
    wire.fill()
    assert not wire.has_more


def test_tls_sends_large_batches_in_parts(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    ours, theirs = pair
    wire = WireSocket(ours)
    batches = [bytes([number]) * (5 * LAYERED_CHUNK + number) for number in range(8)]
    for batch in batches:
        wire.put(batch)
    assert wire.is_blocked
    got = bytearray()
    size = sum(map(len, batches))
    theirs.settimeout(10)
    while len(got) < size:
        got += theirs.recv(100_000)
        wire.flush()
    assert got == b"".join(batches)
    assert wire.unsent == 0
