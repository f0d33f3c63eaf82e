"""Stands at the other end of a link, without a network: says what a broker says, and takes apart what it is sent."""

from collections.abc import Iterable, Iterator
from typing import Any

from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.connections import ConnectionSettings
from flowrunner.message import Message
from flowrunner.run.client import Client
from flowrunner.run.link import Link, SocketLike, Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.outbox import Outbox
from flowrunner.run.plain import PlainLink
from flowrunner.run.property_codec import pack_length, read_length
from flowrunner.run.router import Router
from flowrunner.run.routing import Given, Table, Want
from flowrunner.run.wire import WireLink
from flowrunner.sources import Subscribe
from tests.run.fakes import FakeProgram

VERSIONS = {5: MQTTProtocolVersion.MQTTv5, 4: MQTTProtocolVersion.MQTTv311}
CONNACK = {5: bytes.fromhex("2003000000"), 4: bytes.fromhex("20020000")}


def packet(first: int, *parts: bytes) -> bytes:
    """A packet with its length."""
    body = b"".join(parts)
    return bytes((first,)) + pack_length(len(body)) + body


def text(value: str) -> bytes:
    """A text with its length."""
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def publish(topic: str, payload: bytes = b"x", first: int = 0x30, number: int = 0, properties: bytes = b"\0") -> bytes:
    """A PUBLISH of MQTT 5; for 3.1.1 with `properties=b""`."""
    return packet(first, text(topic), number.to_bytes(2, "big") if first & 6 else b"", properties, payload)


def ack(first: int, number: int, more: bytes = b"") -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return packet(first, number.to_bytes(2, "big"), more)


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """First byte and body of each packet."""
    place = 0
    while place < len(data):
        length, start = read_length(data, place + 1)
        assert start + length <= len(data), "a packet was cut off"
        yield data[place], data[start : start + length]
        place = start + length


class Socket:
    """What a network brings (bytes, or an error to raise), and what it takes: at most `room` bytes."""

    def __init__(self) -> None:
        self.brings: list[bytes | Exception] = []
        self.taken = bytearray()
        self.sends = 0
        self.room = 1 << 40
        self.is_closed = False

    def recv(self, buffer_size: int) -> bytes:
        if not self.brings:
            raise BlockingIOError
        found = self.brings.pop(0)
        if isinstance(found, Exception):
            raise found
        if len(found) > buffer_size:
            self.brings.insert(0, found[buffer_size:])
        return found[:buffer_size]

    def send(self, buffer: bytes | bytearray) -> int:
        assert not self.is_closed
        self.sends += 1
        size = min(self.room, len(buffer))
        if size == 0 < len(buffer):
            raise BlockingIOError
        self.room -= size
        self.taken += buffer[:size]
        return size

    def close(self) -> None:
        self.is_closed = True

    def fileno(self) -> int:
        return 99

    def setblocking(self, flag: bool) -> None:
        assert not flag


class OfflineClient(Client):
    """A client of paho's whose network is a `Socket`."""

    offline: Socket

    def _create_socket(self) -> SocketLike:
        return self._link.wrap(self.offline)


class Peer:
    """A broker, a link of this kind to it, and one flow that writes down what it gets."""

    def __init__(
        self, kind: str = "wire", version: int = 5, *sources: Subscribe | str, outbox: Outbox | None = None
    ) -> None:
        self.version = version
        self.flow = FakeProgram("flow", *(sources or ("#",)))
        self.live = LiveFlow(self.flow)
        self.live.bind(None)  # type: ignore[arg-type]
        self.failed: list[Exception] = []
        self.lost: list[tuple[str, str]] = []
        self.router = Router(lambda _flow, error, _message: self.failed.append(error))
        self.router.table = self.table(self.live)
        trouble = lambda topic, reason: self.lost.append((topic, reason))  # noqa: E731
        self.link: Link = (
            WireLink(self.router, trouble, outbox=outbox)
            if kind == "wire"
            else PlainLink(self.router.deliver, trouble, outbox=outbox)
        )
        self.wakes = 0
        self.link.wake = self._wake
        self.settings = ConnectionSettings(keep=3600.0)
        self.client: OfflineClient | None = None
        self.network = Socket()
        self.is_broken = False

    def table(self, *flows: LiveFlow) -> Table:
        """Who wants what; the first filter of all has the identifier 1, and so on."""
        wants = [
            Want(flow, entry, source)
            for flow in flows
            for entry, source in enumerate(flow.program.flow.sources)
            if isinstance(source, Subscribe)
        ]
        filters = dict.fromkeys(want.filter.mqtt for want in wants)
        given = {number: Given(mqtt, frozenset(flows)) for number, mqtt in enumerate(filters, 1)}
        return Table(wants, given, own=range(1, len(filters) + 1))

    def _wake(self) -> None:
        self.wakes += 1

    def connect(self, *, session: bool = False, **terms: Any) -> "Peer":
        """Begin a network connection; the broker accepts on these terms."""
        self.network = Socket()
        self.client = OfflineClient(self.settings, VERSIONS[self.version], "me", self.link)
        self.client.on_socket_register_write = lambda *_: None
        self.client.offline = self.network
        self.link.prepare(self.client)
        self.client.reconnect()
        self.link.write()
        self.network.taken.clear()
        self.link.open(Terms(self.version, session_present=session, **{"receive_maximum": 65_535, **terms}))
        self.link.release()
        return self

    def lose(self, *, is_early: bool = False) -> bool:
        """The network connection breaks."""
        assert self.client is not None
        self.client.hang_up()
        return self.link.close(is_early=is_early)

    def say(self, *brings: bytes | Exception) -> None:
        """Bring this, and let it be handled until nothing is left."""
        self.network.brings += brings
        turns = 0
        while self.network.brings or turns == 0:
            turns += 1
            try:
                while self.link.read():
                    turns += 1
            except Exception:  # noqa: BLE001 - whatever it is, it costs the network connection
                self.is_broken = True
            if self.is_gone:
                return
        self.link.write()

    def heard(self) -> list[tuple[int, bytes]]:
        """The packets that it was sent since the last time."""
        self.link.write()
        found = list(packets(bytes(self.network.taken)))
        self.network.taken.clear()
        return found

    @property
    def is_gone(self) -> bool:
        """Whether the client has given up the network connection."""
        assert self.client is not None
        return self.is_broken or self.client.socket() is None

    @property
    def got(self) -> list[Message]:
        """What the flow got."""
        return self.flow.got


def payloads(found: Iterable[tuple[int, bytes]], *, is_v5: bool = True) -> list[bytes]:
    """The payloads of the publishes among these packets, as long as they have no properties."""
    result = []
    for first, body in found:
        if first & 0xF0 == 0x30:
            begin = 2 + int.from_bytes(body[:2], "big") + (2 if first & 6 else 0) + is_v5
            result.append(body[begin:])
    return result


def numbers(found: Iterable[tuple[int, bytes]], first: int) -> list[int]:
    """The packet identifiers of the packets with this first byte."""
    result = []
    for kind, body in found:
        if kind == first:
            place = 2 + int.from_bytes(body[:2], "big") if first & 0xF0 == 0x30 else 0
            result.append(int.from_bytes(body[place : place + 2], "big"))
    return result
