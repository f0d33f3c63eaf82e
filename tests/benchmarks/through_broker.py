"""Sends through a real mosquitto: as many messages as come back, or so many a second, with the time that each takes."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from tests.benchmarks.serving import MESSAGES, Measured, Runner, packed
from tests.mosquitto import Mosquitto

CONFIG = """allow_anonymous true
set_tcp_nodelay true
persistence false
max_queued_messages 0
max_inflight_messages 0
"""

_OUT = 1_000  # alarms on their way at most
_PIECE = 20


def connected(port: int, name: bytes) -> socket.socket:
    """A client of MQTT 3.1.1 on a raw socket."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
    made.sendall(bytes((0x10, len(body))) + body)
    assert made.recv(4) == b"\x20\x02\0\0"
    return made


@contextmanager
def ends(mosquitto: Mosquitto, qos: int) -> Iterator[tuple[socket.socket, Runner]]:
    """Who publishes, and who hears the alarms."""
    with connected(mosquitto.port, b"sender") as sender, connected(mosquitto.port, b"hearer") as hearer:
        wanted = b"\0\x01" + b"\0\x08alarms/#" + bytes((qos,))
        hearer.sendall(bytes((0x82, len(wanted))) + wanted)
        assert len(hearer.recv(5)) == 5
        yield sender, Runner(hearer, qos)


def pieces(qos: int) -> list[bytes]:
    """Messages in small pieces; every piece holds the same number of alarms."""
    block = packed(Runner(socket.socket(), qos))
    found, place = [], 0
    for _ in range(MESSAGES // _PIECE):
        begin = place
        for _ in range(_PIECE):
            place += 2 + block[place + 1]
        found.append(block[begin:place])
    return found


def wait_until_heard(sender: socket.socket, hearer: Runner, qos: int) -> None:
    """Send now and then until the program answers."""
    first = pieces(qos)[0]
    deadline = monotonic() + 30
    while not hearer.alarms:
        assert monotonic() < deadline, "the program never answered"
        sender.sendall(first)
        hearer.take(0.2)
    while before := hearer.alarms:
        hearer.take(0.3)
        if hearer.alarms == before:
            return


def pump(sender: socket.socket, hearer: Runner, seconds: float) -> Measured:
    """Keep the program busy for so long."""
    queue = pieces(hearer.qos)
    sent, pending = 0, b""
    before, begin = hearer.alarms, monotonic()
    while (now := monotonic()) < begin + seconds:
        while not pending and sent * _PIECE // 2 - (hearer.alarms - before) < _OUT:
            pending, sent = queue[sent % len(queue)], sent + 1
            pending = _send(sender, pending)
        pending = _send(sender, pending)
        hearer.take(0.01)
        _drain(sender)
    return Measured((hearer.alarms - before) * 2, now - begin)


def pace(sender: socket.socket, hearer: Runner, rate: int, seconds: float) -> list[float]:
    """Send one message after the other, so many a second; returns the seconds that each alarm took, in order."""
    block = packed(Runner(socket.socket(), hearer.qos))
    messages, place = [], 0
    while place < len(block):
        messages.append(block[place : place + 2 + block[place + 1]])
        place += len(messages[-1])
    due: list[float] = []
    took: list[float] = []
    before, begin, sent = hearer.alarms, monotonic(), 0
    while (now := monotonic()) < begin + seconds or len(took) < len(due):
        if now > begin + seconds + 2:
            break
        while sent < (now - begin) * rate and now < begin + seconds:
            sender.sendall(messages[sent % len(messages)])
            if sent % 2:
                due.append(monotonic())
            sent += 1
        hearer.take(max(0.0, min(begin + sent / rate - monotonic(), 0.01)))
        arrived = monotonic()
        took += [arrived - due[index] for index in range(len(took), hearer.alarms - before)]
    return took


def _send(sender: socket.socket, data: bytes) -> bytes:
    with suppress(BlockingIOError):
        return data[sender.send(data, socket.MSG_DONTWAIT) :] if data else b""
    return data


def _drain(sender: socket.socket) -> None:
    """Read what mosquitto acknowledges."""
    if select.select([sender], [], [], 0)[0]:
        sender.recv(1 << 16)
