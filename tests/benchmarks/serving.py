"""Stands in for a broker that is never the bottleneck: sends what was packed before, and counts what comes back.

All messages are packed before anything is measured, all alarms have one length, and a whole batch of acknowledgements
is made of slices: so it takes a small part of the time that any of the programs takes.
"""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

MESSAGES = 1_000
"""In a block; every other one is an alarm."""

_BLOCKS_OUT = 2
_CHUNK = 1 << 20
_PIECE = 1 << 17


@dataclass(frozen=True)
class Measured:
    """Messages that a program has worked on, and in how many seconds."""

    messages: int
    seconds: float


@dataclass
class Runner:
    """The connection of the program that is measured."""

    socket: socket.socket
    qos: int
    is_v5: bool = False
    identifier: bytes = b""
    is_subscribed: bool = False
    alarms: int = 0
    rest: bytes = b""
    out: bytearray = field(default_factory=bytearray)

    def flush(self) -> None:
        """Send what waits, as far as the network takes it."""
        with suppress(BlockingIOError):
            while self.out:
                del self.out[: self.socket.send(self.out[:_PIECE], socket.MSG_DONTWAIT)]

    def take(self, timeout: float) -> None:
        """Read once, count alarms, and answer what wants an answer."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the program has closed the connection")
        data = self.rest + data
        place = 0
        while (end := _end(data, place)) and end <= len(data):
            length, kind = end - place, data[place] >> 4
            count = _count_alike(data, place, length)
            if kind == 3:
                self._take_alarms(data[place : place + count * length], count, length)
            elif kind != 4:
                count = 1
                self._take_other(data[place:end])
            place += count * length
        self.rest = data[place:]
        self.flush()

    def _take_alarms(self, data: bytes, count: int, length: int) -> None:
        if data[0] & 6:
            head = 2 if data[1] < 128 else 3
            at = head + 2 + (data[head] << 8 | data[head + 1])
            answer = bytearray(b"\x40\x02\0\0" * count)
            answer[2::4], answer[3::4] = data[at::length], data[at + 1 :: length]
            self.out += answer
        if b"alarms/" in data[:length]:  # not what flowrunner says of itself
            self.alarms += count

    def _take_other(self, packet: bytes) -> None:
        body = packet[2:] if packet[1] < 128 else packet[3:]
        match packet[0] >> 4:
            case 1:
                self.is_v5 = body[6] == 5
                self.out += b"\x20\x03\0\0\0" if self.is_v5 else b"\x20\x02\0\0"
            case 8:
                if self.is_v5 and body[2]:
                    self.identifier = body[3 : 3 + body[2]]
                self.out += bytes((0x90, 3 + self.is_v5)) + body[:2] + (b"\0" if self.is_v5 else b"") + b"\1"
                self.is_subscribed = self.is_subscribed or b"plant/" in body
            case 12:
                self.out += b"\xd0\0"
            case _:
                pass


def _end(data: bytes, place: int) -> int:
    """Where the packet ends; 0 while that is not known."""
    length, shift = 0, 0
    for index in range(place + 1, min(place + 5, len(data))):
        length |= (data[index] & 127) << shift
        shift += 7
        if data[index] < 128:
            return index + 1 + length
    return 0


def _count_alike(data: bytes, place: int, length: int) -> int:
    """How many packets in a row begin with the same two bytes: all alarms are alike, so they have the same length."""
    stop = place + (len(data) - place) // length * length
    rows = data[place:stop:length], data[place + 1 : stop : length]
    return min(len(row) - len(row.lstrip(row[:1])) for row in rows)


def packed(runner: Runner) -> bytes:
    """A block of messages as this program wants them."""
    properties = bytes((len(runner.identifier),)) + runner.identifier if runner.is_v5 else b""
    messages = []
    for number in range(MESSAGES):
        machine = b"m%02d" % (number // 2 % 100)
        pressure = b"%.1f" % (8.1 + number % 15 / 10 if number % 2 else 4.1 + number % 15 / 10)
        topic = b"plant/%s/state" % machine
        payload = b'{"machine":"%s","pressure":%s,"flow":%d,"at":%d}' % (machine, pressure, 100 + number % 50, number)
        identifier = (number + 1).to_bytes(2, "big") if runner.qos else b""
        body = len(topic).to_bytes(2, "big") + topic + identifier + properties + payload
        messages.append(bytes((0x30 | runner.qos << 1, len(body))) + body)
    return b"".join(messages)


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    """A port to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server, server.getsockname()[1]


@contextmanager
def accepted(server: socket.socket, qos: int) -> Iterator[Runner]:
    """The connection of the program, once it has subscribed."""
    connected, _ = server.accept()
    with connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        runner = Runner(connected, qos)
        while not runner.is_subscribed:
            runner.take(30)
        yield runner


def pump(runner: Runner, seconds: float) -> Measured:
    """Keep two blocks on their way for so long, and count what was answered for."""
    block, sent = packed(runner), 0
    before, begin = runner.alarms, monotonic()
    while (now := monotonic()) < begin + seconds:
        while sent * MESSAGES // 2 - (runner.alarms - before) < _BLOCKS_OUT * MESSAGES // 2 and not runner.out:
            runner.out += block
            sent += 1
            runner.flush()
        runner.flush()
        runner.take(0 if runner.out else 0.1)
    return Measured((runner.alarms - before) * 2, now - begin)
