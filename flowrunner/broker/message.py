"""Turns an application message into the PUBLISH packets that its receivers share."""

from dataclasses import dataclass

from flowrunner.broker.codec import encode_binary, encode_variable


class Message:
    """One application message on its way through the broker.

    `topic` is UTF-8; `properties` are the encoded ones that travel along (MQTT 5.0 section 3.3.2.3); `lifetime` is
    its expiry interval in seconds, counted from `arrived` on the loop's clock; `publisher` is a client id.
    Packets are encoded once for each protocol version, set of flags and identifiers, and shared from then on.
    """

    __slots__ = (
        "_packets",
        "arrived",
        "is_retained",
        "lifetime",
        "payload",
        "properties",
        "publisher",
        "qos",
        "topic",
    )

    def __init__(
        self,
        topic: bytes,
        payload: bytes,
        qos: int = 0,
        is_retained: bool = False,  # noqa: FBT001, FBT002 (one message is made per packet: keywords cost time)
        properties: bytes = b"",
        lifetime: int | None = None,
        arrived: float = 0.0,
        publisher: str | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.is_retained = is_retained
        self.properties = properties
        self.lifetime = lifetime
        self.arrived = arrived
        self.publisher = publisher
        self._packets: dict[tuple[bool, int, bytes, int], tuple[bytes, bytes]] = {}

    def is_expired(self, now: float) -> bool:
        """Whether its expiry interval has passed (MQTT 5.0 section 3.3.2.3.3)."""
        return self.lifetime is not None and now - self.arrived >= self.lifetime

    def parts(self, *, is_v5: bool, flags: int, identifiers: bytes, now: float) -> tuple[bytes, bytes]:
        """Return what stands before and after the packet identifier of a PUBLISH (MQTT 5.0 section 3.3).

        `flags` are the low four bits of the first byte; `identifiers` are encoded subscription identifiers.
        Without a QoS there is no packet identifier, and the second part is empty.
        """
        remaining = -1 if self.lifetime is None else max(0, self.lifetime - int(now - self.arrived))
        key = (is_v5, flags, identifiers, remaining)
        found = self._packets.get(key)
        if found is None:
            found = self._packets[key] = self._encode(is_v5, flags, identifiers, remaining)
        return found

    def _encode(self, is_v5: bool, flags: int, identifiers: bytes, remaining: int) -> tuple[bytes, bytes]:  # noqa: FBT001
        tail = self.payload
        if is_v5:
            properties = self.properties + identifiers
            if remaining >= 0:
                properties += b"\x02" + remaining.to_bytes(4, "big")
            tail = encode_variable(len(properties)) + properties + tail
        topic = encode_binary(self.topic)
        has_packet_id = flags & 6 != 0
        length = len(topic) + (2 if has_packet_id else 0) + len(tail)
        head = bytes((0x30 | flags,)) + encode_variable(length) + topic
        return (head, tail) if has_packet_id else (head + tail, b"")


@dataclass(slots=True)
class Pending:
    """A message for one client, with the flags it is sent with; `message` is None once PUBREL took its place."""

    message: Message | None
    qos: int
    is_retained: bool
    identifiers: bytes


@dataclass(slots=True)
class Will:
    """What is published if the client goes without a word (MQTT 5.0 section 3.1.2.5); the delay in seconds."""

    message: Message
    delay: int
