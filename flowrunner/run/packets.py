"""Turns the packets of a message's life into values and back (MQTT 5.0 sections 3.3 to 3.7, MQTT 3.1.1 the same)."""

from functools import cache

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode

from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.records import dataclass
from flowrunner.run.link import Terms
from flowrunner.run.outbox import Outgoing, Pieces
from flowrunner.run.property_codec import Malformed, pack_length, pack_properties, read_length, read_properties
from flowrunner.topics import BadTopic, check_topic

PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x30, 0x40, 0x50, 0x62, 0x70

#: Topic and payload of a publish up to so many bytes find its fixed header in a table.
MOST_IN_TABLE = 1_000

#: Bytes of a packet at which paho gives up one whose length has more than four: not a byte before.
LENGTH_TOO_LONG = 6

_NO_PROPERTIES = b"\0"
_DUP = 0x08


@dataclass(frozen=True, slots=True)
class Received:
    """A PUBLISH that was read. `number` is its packet identifier, `begin` is where the payload begins.

    `key` is the topic with its length and, in MQTT 5, the properties with theirs, as they came.
    """

    key: bytes
    topic: bytes
    qos: int
    retain: bool
    number: int
    properties: Properties
    identifiers: tuple[int, ...]
    begin: int


def find_packet(buffer: bytes, place: int) -> tuple[int, int] | None:
    """Where what follows the fixed header begins and ends; None while its length is not there.

    Raises Malformed for a length of more than four bytes.
    """
    try:
        length, start = read_length(buffer, place + 1)
    except IndexError:
        return None
    return start, start + length


def read_publish(first: int, body: bytes, *, is_v5: bool) -> Received:
    """Read a PUBLISH: its first byte, and what follows the fixed header. Raises Malformed where paho does."""
    qos = first >> 1 & 3
    if len(body) < 2 or qos == 3:
        raise Malformed("a PUBLISH is cut off, or its QoS is 3")
    end = 2 + (body[0] << 8 | body[1])
    start = begin = end + 2 if qos else end
    if begin > len(body) or (end == 2 and not is_v5):
        raise Malformed("the topic of a PUBLISH is cut off")
    number = body[end] << 8 | body[end + 1] if qos else 0
    properties = NO_PROPERTIES
    identifiers: tuple[int, ...] = ()
    if is_v5:
        properties, identifiers, begin = read_properties(body, begin)
    key = body[:end] + body[start:begin]
    return Received(key, body[2:end], qos, bool(first & 1), number, properties, identifiers, begin)


def read_answer(first: int, body: bytes, *, is_v5: bool) -> tuple[int, int]:
    """The packet identifier and the reason code of a PUBACK, PUBREC, PUBREL or PUBCOMP. Raises Malformed.

    Without a reason code it is 0, success (MQTT 5.0 section 3.4.2.1).
    """
    if len(body) < 2 or (len(body) > 2 and not is_v5):
        raise Malformed("an acknowledgement has the wrong length")
    number = body[0] << 8 | body[1]
    if len(body) == 2:
        return number, 0
    kind = first >> 4
    if len(body) > 3 and body[3]:
        try:
            PahoProperties(kind).unpack(body[3:])  # type: ignore[no-untyped-call]
        except Exception as error:
            raise Malformed("the properties of an acknowledgement are wrong") from error
    reason_words(kind, body[2])
    return number, body[2]


@cache
def reason_words(kind: int, code: int) -> str:
    """A reason code in paho's words, in lower case. Raises Malformed for one that this kind of packet cannot have."""
    reason = ReasonCode(kind)
    try:
        reason.unpack(bytes((code,)))
    except Exception as error:
        raise Malformed("the reason code of an acknowledgement is unknown") from error
    return str(reason).lower()


@cache
def header_table(first: int, between: int) -> tuple[bytes, ...]:
    """Fixed headers of a PUBLISH by the length of topic (with its own length) and payload; `between` is what else."""
    lengths = range(between, between + MOST_IN_TABLE + 1)
    return tuple(bytes((first,)) + pack_length(length) for length in lengths)


def pack_topic(topic: str) -> bytes:
    """A topic with its length before it."""
    data = topic.encode()
    return len(data).to_bytes(2, "big") + data


def pack_publish(outgoing: Outgoing, number: int, terms: Terms) -> Pieces:
    """A PUBLISH in pieces, as far as the broker allows it. Raises StepError for properties that cannot be carried."""
    qos = min(outgoing.qos, terms.maximum_qos)
    topic = pack_topic(outgoing.topic)
    between = number.to_bytes(2, "big") if qos else b""
    if terms.version == 5:
        between += pack_properties(outgoing.properties) if outgoing.properties else _NO_PROPERTIES
    length = len(topic) + len(between) + len(outgoing.payload)
    first = PUBLISH | qos << 1 | (outgoing.retain and terms.has_retain)
    return bytes((first,)) + pack_length(length), topic, between, outgoing.payload


def pack_answer(first: int, number: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP that says: success."""
    return bytes((first, 2, number >> 8, number & 255))


def is_small(pieces: Pieces) -> bool:
    """Whether so many of these may be kept that it does not matter how large they are."""
    return len(pieces[1]) + len(pieces[3]) <= MOST_IN_TABLE


def check_size(outgoing: Outgoing, terms: Terms) -> None:
    """Raise StepError for a packet that would make the broker close the connection (MQTT 5.0 section 3.2.2.3.6)."""
    most = terms.maximum_packet
    if most is not None and (size := sum(map(len, pack_publish(outgoing, 1, terms)))) > most:
        message = f"the message is larger ({size} bytes) than the broker accepts ({most} bytes)"
        raise StepError(message, code="packet-too-large")


def require_topic(topic: str) -> None:
    """Raise StepError for what nobody can publish to."""
    try:
        check_topic(topic)
    except BadTopic as error:
        raise StepError(error.message, code="bad-topic", help=error.help) from None


def repeat(pieces: Pieces) -> Pieces:
    """The same PUBLISH, sent once more (MQTT 5.0 section 3.3.1.1)."""
    header, topic, between, payload = pieces
    return bytes((header[0] | _DUP,)) + header[1:], topic, between, payload


def restore(pieces: Pieces) -> Outgoing:
    """A publish without properties, from the pieces in which it was sent."""
    header, topic, _, payload = pieces
    return Outgoing(topic[2:].decode(), payload, header[0] >> 1 & 3, bool(header[0] & 1), NO_PROPERTIES)


def words_of(code: int) -> str:
    """Why a broker did not take a publish."""
    return reason_words(PacketTypes.PUBACK, code)
