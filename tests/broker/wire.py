"""Speaks MQTT by hand on a socket, so that tests can send what no library would, and see every byte of the answer."""

import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

PATIENCE = 10.0
"""Seconds after which something that should arrive never will."""

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


class Closed(Exception):
    """The broker closed the connection."""


def number(value: int) -> bytes:
    """A variable byte integer."""
    data = bytearray()
    while True:
        value, digit = divmod(value, 128)
        data.append(digit | (128 if value else 0))
        if not value:
            return bytes(data)


def text(value: str | bytes) -> bytes:
    """A string or binary data behind its length."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(first: int, *parts: bytes) -> bytes:
    """A whole packet."""
    body = b"".join(parts)
    return bytes((first,)) + number(len(body)) + body


def u16(value: int) -> bytes:
    return struct.pack("!H", value)


def u32(value: int) -> bytes:
    return struct.pack("!I", value)


def properties(pairs: bytes = b"") -> bytes:
    """Encoded properties behind their length."""
    return number(len(pairs)) + pairs


@dataclass(frozen=True, slots=True)
class Packet:
    """What the broker sent: its type, the flags, the body."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH, taken apart; `properties` by identifier, each with the list of its values."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: dict[int, list[Any]] = field(default_factory=dict)


_SIZES = {1: 1, 2: 4, 17: 4, 19: 2, 23: 1, 24: 4, 25: 1, 33: 2, 34: 2, 35: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1}


def read_number(data: bytes | bytearray, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def read_properties(data: bytes, place: int) -> tuple[dict[int, list[Any]], int]:
    """Read properties; return them and the place behind."""
    length, place = read_number(data, place)
    end = place + length
    found: dict[int, list[Any]] = {}

    def string() -> bytes:
        nonlocal place
        size = struct.unpack_from("!H", data, place)[0]
        place += 2 + size
        return data[place - size : place]

    while place < end:
        key = data[place]
        place += 1
        value: Any
        if key == 11:
            value, place = read_number(data, place)
        elif key in _SIZES:
            value = int.from_bytes(data[place : place + _SIZES[key]], "big")
            place += _SIZES[key]
        elif key == 38:
            value = (string().decode(), string().decode())
        elif key in (9, 22):
            value = string()
        else:
            value = string().decode()
        found.setdefault(key, []).append(value)
    return found, end


class Wire:
    """One connection to a broker; version 3, 4 or 5."""

    def __init__(
        self, port: int, version: int = 4, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0
    ) -> None:
        self.version = version
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._early: deque[Packet] = deque()
        self._data = bytearray()
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go without a word."""
        self.socket.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def read(self, timeout: float = PATIENCE) -> Packet:
        """The next packet; Closed if there is none to come, TimeoutError if none comes."""
        if self._early:
            return self._early.popleft()
        deadline = time.monotonic() + timeout
        while (found := self._cut()) is None:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(65_536)
            except ConnectionError:
                raise Closed from None
            if not data:
                raise Closed
            self._data += data
        return found

    def _cut(self) -> Packet | None:
        if len(self._data) < 2:
            return None
        try:
            length, start = read_number(self._data, 1)
        except IndexError:
            return None
        if len(self._data) < start + length:
            return None
        found = Packet(self._data[0] >> 4, self._data[0] & 15, bytes(self._data[start : start + length]))
        del self._data[: start + length]
        return found

    def expect(self, kind: int) -> Packet:
        """The next packet, which must be of this type."""
        found = self.read()
        assert found.kind == kind, f"expected type {kind}, got {found}"
        return found

    def expect_closed(self) -> list[Packet]:
        """What comes until the broker closes."""
        found = []
        while True:
            try:
                found.append(self.read())
            except Closed:
                return found

    def skip_to(self, kind: int) -> Packet:
        """The next packet of this type; what came before it is read later."""
        before = []
        while (found := self.read()).kind != kind:
            before.append(found)
        self._early.extend(before)
        return found

    def connect(
        self,
        client_id: str = "",
        *,
        clean: bool = True,
        keep_alive: int = 0,
        extra: bytes = b"",
        will: tuple[str, bytes, int, bool] | None = None,
        will_extra: bytes = b"",
        user: str | None = None,
        password: str | None = None,
    ) -> Packet:
        """Send CONNECT and return the CONNACK."""
        flags = (2 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
        body = text(client_id)
        if will is not None:
            topic, payload, qos, retain = will
            flags |= 4 | qos << 3 | (0x20 if retain else 0)
            body += (properties(will_extra) if self.version == 5 else b"") + text(topic) + text(payload)
        body += b"".join(text(value) for value in (user, password) if value is not None)
        name = text("MQIsdp" if self.version == 3 else "MQTT")
        middle = properties(extra) if self.version == 5 else b""
        self.send(packet(0x10, name, bytes((self.version, flags)), u16(keep_alive), middle, body))
        return self.expect(CONNACK)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        extra: bytes = b"",
    ) -> int:
        """Send PUBLISH and nothing else; return its packet identifier."""
        packet_id = packet_id or (self.next_id() if qos else 0)
        first = 0x30 | (8 if dup else 0) | qos << 1 | retain
        middle = properties(extra) if self.version == 5 else b""
        self.send(packet(first, text(topic), u16(packet_id) if qos else b"", middle, payload))
        return packet_id

    def subscribe(self, *filters: str | tuple[str, int], extra: bytes = b"") -> bytes:
        """Subscribe, by default with QoS 0, and return the codes of the SUBACK."""
        self.send_subscribe(filters, extra=extra)
        answer = self.skip_to(SUBACK)
        return answer.body[2:] if self.version < 5 else answer.body[read_properties(answer.body, 2)[1] :]

    def send_subscribe(self, filters: Iterable[str | tuple[str, int]], extra: bytes = b"") -> None:
        pairs = [(each, 0) if isinstance(each, str) else each for each in filters]
        body = b"".join(text(name) + bytes((options,)) for name, options in pairs)
        middle = properties(extra) if self.version == 5 else b""
        self.send(packet(0x82, u16(self.next_id()), middle, body))

    def unsubscribe(self, *filters: str) -> bytes:
        """Unsubscribe and return the codes of the UNSUBACK."""
        middle = properties() if self.version == 5 else b""
        self.send(packet(0xA2, u16(self.next_id()), middle, *map(text, filters)))
        answer = self.expect(UNSUBACK)
        return answer.body[2:] if self.version < 5 else answer.body[read_properties(answer.body, 2)[1] :]

    def disconnect(self, reason: int = 0) -> None:
        """Say goodbye and wait until the broker has closed."""
        self.send(bytes((0xE0, 0)) if self.version < 5 or not reason else bytes((0xE0, 1, reason)))
        self.expect_closed()
        self.close()

    def message(self, *, answer: bool = True) -> Message:
        """The next PUBLISH; with `answer` its QoS is seen through to the end."""
        found = self.take_apart(self.expect(PUBLISH))
        if answer and found.qos == 1:
            self.send(packet(0x40, u16(found.packet_id)))
        elif answer and found.qos == 2:
            self.send(packet(0x50, u16(found.packet_id)))
            assert self.skip_to(PUBREL).body[:2] == u16(found.packet_id)
            self.send(packet(0x70, u16(found.packet_id)))
        return found

    def take_apart(self, found: Packet) -> Message:
        """A PUBLISH, read."""
        size = struct.unpack_from("!H", found.body)[0]
        place = 2 + size
        topic = found.body[2:place].decode()
        qos, packet_id = found.flags >> 1 & 3, 0
        if qos:
            packet_id = struct.unpack_from("!H", found.body, place)[0]
            place += 2
        extra: dict[int, list[Any]] = {}
        if self.version == 5:
            extra, place = read_properties(found.body, place)
        payload = found.body[place:]
        return Message(topic, payload, qos, found.flags & 1 == 1, found.flags & 8 == 8, packet_id, extra)

    def waiting(self) -> list[Packet]:
        """What the broker has sent so far: everything before the answer to a ping."""
        self.send(b"\xc0\x00")
        found = []
        while (each := self.read()).kind != PINGRESP:
            found.append(each)
        return found

    def messages(self) -> list[Message]:
        """Messages that the broker has sent so far, each seen through to the end of its QoS."""
        found: list[Message] = []
        while True:
            news = self.waiting()
            if not news:
                return found
            for each in news:
                if each.kind == PUBLISH:
                    message = self.take_apart(each)
                    found.append(message)
                    if message.qos:
                        self.send(packet(0x40 if message.qos == 1 else 0x50, u16(message.packet_id)))
                elif each.kind == PUBREL:
                    self.send(packet(0x70, each.body[:2]))
