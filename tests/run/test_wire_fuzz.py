"""What the wire makes of bytes is what plain paho makes of them, however they are cut, and whatever is wrong with them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

import pytest

from flowrunner.message import Message
from flowrunner.run import wire
from flowrunner.run.reader import ROW
from tests.run.fakes import subscribe
from tests.run.peer import Peer, ack, numbers, packet, publish, text

STREAMS = 600
"""Mutated streams for each seed and version."""

USER, EXPIRY, TYPE = b"\x26\0\1k\0\2vw", b"\x02\0\0\1\0", b"\x03" + text("text/plain")
RESPONSE, CORRELATION, FORMAT, ALIAS = b"\x08" + text("re/ply"), b"\x09\0\3\0\xff\1", b"\x01\1", b"\x23\0\5"


def with_length(*properties: bytes) -> bytes:
    return packet(0, *properties)[1:]


PROPERTIES = [
    with_length(),
    with_length(b"\x0b\x01"),
    with_length(b"\x0b\x01", b"\x0b\x02"),
    with_length(b"\x0b\x81\x01"),
    with_length(USER, b"\x0b\x01", USER),
    with_length(EXPIRY, TYPE, RESPONSE, CORRELATION, FORMAT),
    with_length(ALIAS, b"\x0b\x02"),
    with_length(USER * 30),
]


@pytest.fixture(autouse=True)
def _no_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is for long batches, and costs each of these thousands of connections two megabytes."""
    monkeypatch.setattr(wire, "keep_memory", lambda: None)


def samples(version: int, *, apart: int = 0) -> list[bytes]:
    """One of each kind of packet that a broker may send after CONNACK; packet identifiers grow by `apart`."""
    kinds = PROPERTIES if version == 5 else [b""]
    found = [
        publish(topic, payload, first, number + apart * place if number else 0, properties)
        for place, (first, number, properties, (topic, payload)) in enumerate(
            (first, number, properties, words)
            for first, number in ((0x30, 0), (0x31, 0), (0x32, 11), (0x3A, 12), (0x34, 13))
            for properties in kinds
            for words in (("a/b", b"x"), ("long" * 40, b"y" * 150))
        )
    ]
    found += [ack(0x62, 13), ack(0x40, 0x8001), ack(0x50, 0x8002), ack(0x70, 0x8002), b"\xd0\0"]
    found.append(b"".join(ack(0x40, 0x8003 + number) for number in range(ROW + 3)))
    if version == 5:
        found += [ack(0x40, 1, b"\0"), ack(0x40, 1, b"\x10\0"), ack(0x40, 1, b"\x87" + with_length(USER))]
        found += [ack(0x62, 13, b"\x92\0"), b"\x90\x04\0\1\0\0", b"\xb0\x04\0\1\0\0"]
    else:
        found += [b"\x90\x03\0\1\0", b"\xb0\x02\0\1"]
    return found


@dataclass
class Seen:
    """What came of a stream."""

    live: list[Message]  # QoS 0 and 1
    exact: list[Message]  # QoS 2
    acknowledged: list[int]
    is_gone: bool
    has_repeated: bool


def seen(kind: str, version: int, pieces: Iterable[bytes]) -> Seen:
    peer = Peer(kind, version, subscribe("#"), subscribe("a/+")).connect()
    repeated = note_repeated(peer)
    for piece in pieces:
        peer.say(piece)
        if peer.is_gone:
            break
    live = [message for message in peer.got if message.qos < 2]
    exact = [message for message in peer.got if message.qos == 2]
    return Seen(live, exact, [] if peer.is_gone else numbers(peer.heard(), 0x40), peer.is_gone, any(repeated))


def note_repeated(peer: Peer) -> list[bool]:
    """For each delivery at QoS 1 and 2, whether the wire takes it for one that it knows."""
    noted: list[bool] = []
    inbound = getattr(peer.link, "_inbound")  # noqa: B009 - both kinds of link have it
    is_known = inbound.is_known

    def note(number: int, qos: int, *, is_repeated: bool) -> bool:
        noted.append(is_known(number, qos, is_repeated=is_repeated))
        return noted[-1]

    inbound.is_known = note
    return noted


def check(version: int, stream: bytes, cut: Iterable[bytes]) -> None:
    """Both make the same of it.

    At QoS 2 paho hands a message on with PUBREL, so it may not come to that, and of two with the same packet
    identifier it takes the later one.
    """
    expected, found = seen("plain", version, [stream]), seen("wire", version, cut)
    assert found.live == expected.live
    assert found.acknowledged == expected.acknowledged
    assert found.is_gone == expected.is_gone
    assert found.has_repeated or all(message in found.exact for message in expected.exact)


@pytest.mark.parametrize("version", [5, 4])
def test_every_packet_cut_at_every_byte(version: int) -> None:
    """One network connection for all that are cut at the same byte; what a packet is to become says one of its own."""
    last = publish("end", b"", properties=with_length() if version == 5 else b"")
    streams = [sample + last for sample in samples(version, apart=3)]
    wholes = [seen("wire", version, [stream]) for stream in streams]
    for stream, whole in zip(streams, wholes, strict=True):
        assert not whole.is_gone
        assert whole.live[-1].topic == "end"
        check(version, stream, [stream])
        assert seen("wire", version, [stream[place : place + 1] for place in range(len(stream))]) == whole
    for place in range(1, max(map(len, streams))):
        longer = [(stream, whole) for stream, whole in zip(streams, wholes, strict=True) if place < len(stream)]
        pieces = [piece for stream, _ in longer for piece in (stream[:place], stream[place:])]
        assert seen("wire", version, pieces) == joined(whole for _, whole in longer)


def joined(wholes: Iterable[Seen]) -> Seen:
    """What comes of several streams that have nothing to do with each other."""
    live, exact, acknowledged = [], [], []
    for whole in wholes:
        live += whole.live
        exact += whole.exact
        acknowledged += whole.acknowledged
    return Seen(live, exact, acknowledged, is_gone=False, has_repeated=False)


def mutated(chance: Random, stream: bytes) -> bytes:
    """The stream with one to three faults."""
    data = bytearray(stream)
    for _ in range(chance.randint(1, 3)):
        place, length = chance.randrange(len(data)), chance.randint(1, 6)
        match chance.randrange(6):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                data[place] = chance.choice((0, 1, 2, 0x30, 0x32, 0x34, 0x7F, 0x80, 0xFF))
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = chance.randbytes(length)
            case 4:
                data[place:place] = data[place : place + 20 * length]
            case _:
                del data[max(1, place) :]
        if not data:
            data += b"\0"
    return bytes(data)


def cut(chance: Random, stream: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(stream):
        size = chance.choice((1, 2, 3, 7, 50, 400, 4000))
        yield stream[place : place + size]
        place += size


@pytest.mark.parametrize("version", [5, 4])
@pytest.mark.parametrize("seed", range(4))
def test_streams_with_faults(version: int, seed: int) -> None:
    chance = Random(1000 * version + seed)
    kinds = samples(version)
    for _ in range(STREAMS):
        stream = mutated(chance, b"".join(chance.choices(kinds, k=chance.randint(1, 12))))
        if b"\xef\xbb\xbf" not in stream:  # U+FEFF in a property: paho refuses what the standard allows (1.5.4-3)
            check(version, stream, cut(chance, stream))
