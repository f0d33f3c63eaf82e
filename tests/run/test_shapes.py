"""Packets that are cut by their shape: they arrive as they were sent, whatever others of the same lengths look like."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.run import reader
from flowrunner.run.shapes import HEAD, shape_of
from tests.run.peer import Peer, ack, publish

#: What the broker puts into the properties: nothing, identifiers of one and two bytes, several, and a user property.
PROPERTIES = [
    b"\0",
    b"\x02\x0b\x01",
    b"\x02\x0b\x02",
    b"\x03\x0b\xc8\x01",
    b"\x04\x0b\x01\x0b\x02",
    b"\x08\x26\0\x01a\0\x02bc",
]

MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", "aa", "ab", "a/b", "é")),
        st.one_of(st.integers(0, 4), st.integers(110, 130)),
        st.sampled_from((0, 1)),
        st.sampled_from(PROPERTIES),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)
Said = list[tuple[str, int, int, bytes, bool]]


@contextmanager
def limits(shapes: int, learned: int) -> Iterator[None]:
    with (
        patch.object(reader, "MOST_SHAPES", shapes),
        patch.object(reader, "LEARNED_IN_A_ROW", learned),
        patch.object(reader, "SLICE", 1e9),
    ):
        yield


def say(peer: Peer, said: Said, version: int) -> list[tuple[str, bytes, int]]:
    """Say it all in one read, and again in another; returns what must have arrived."""
    packets = []
    expected = []
    for number, (topic, size, qos, properties, is_after_ack) in enumerate(said * 2, 1):
        payload = b"%c" % (number % 256) * size
        given = properties if version == 5 else b""
        packets.append(
            (ack(0x40, number) if is_after_ack else b"") + publish(topic, payload, 0x30 | qos << 1, number, given)
        )
        expected.append((topic, payload, qos))
    peer.say(b"".join(packets[: len(said)]), b"".join(packets[len(said) :]))
    assert not peer.is_gone
    return expected


@settings(max_examples=200, deadline=None)
@given(MESSAGES, st.sampled_from((1, 3, 1_000)), st.sampled_from((0, 1, 100)))
@example([("a", 3, qos, PROPERTIES[kind], False) for qos in (0, 1) for kind in (1, 3, 2, 1, 1, 3)], 1_000, 100)
def test_messages_arrive_as_they_were_sent(said: Said, shapes: int, learned: int) -> None:
    with limits(shapes, learned):
        peer = Peer("wire", 5).connect()
        expected = say(peer, said, 5)
        peer.lose()
        peer.version = 4
        peer.connect()
        expected += say(peer, said, 4)
    assert [(message.topic, message.payload, message.qos) for message in peer.got] == expected
    assert peer.live.received == len(expected)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The lengths of the shapes that are learned, one after the other."""
    found: list[tuple[int, ...]] = []

    def counted(*lengths: int, is_1: bool) -> object:
        found.append(lengths)
        return shape_of(*lengths, is_1=is_1)

    monkeypatch.setattr(reader, "shape_of", counted)
    return found


@pytest.mark.parametrize("qos", [0, 1])
def test_a_shape_is_learned_once_and_cuts_those_that_follow(qos: int, made: list[tuple[int, ...]]) -> None:
    peer = Peer("wire", 5).connect()
    first = 0x30 | qos << 1
    for _ in range(3):
        peer.say(b"".join(publish("topic", b"%d" % number, first, number + 1) for number in range(100)))
    assert made == [(2, 7, 1, 1), (2, 7, 1, 2)]
    assert [message.payload for message in peer.got] == [b"%d" % number for number in range(100)] * 3


def test_no_more_shapes_are_kept_than_is_good(made: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_SHAPES", 2)
    peer = Peer("wire", 5).connect()
    peer.say(publish("topic"))
    for _ in range(2):
        peer.say(*(publish("topic", b"x" * size) for size in (1, 2, 3)))
    assert [lengths[-1] for lengths in made] == [1, 2, 3, 1, 2, 3]


def test_a_connection_of_another_version_learns_anew(made: list[tuple[int, ...]]) -> None:
    peer = Peer("wire", 5)
    for version, properties in ((5, b"\0"), (4, b""), (4, b"")):
        peer.version = version
        peer.connect().say(publish("topic", properties=properties) * 3)
        peer.lose()
    assert made == [(2, 7, 1, 1), (2, 7, 0, 1)]


@pytest.mark.parametrize(("payload", "header"), [(b"x", 2), (b"x" * 200, 3)])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_cut_takes_a_packet_apart(payload: bytes, header: int, qos: int) -> None:
    packet = publish("ab", payload, 0x30 | qos << 1, 0x1234, b"\x02\x0b\x01")
    cut, size, is_1 = shape_of(header, 4, 3, len(payload), is_1=bool(qos))
    name, given = b"\0\x02ab", b"\x02\x0b\x01"
    assert cut(b"before" + packet, 6) == ((name, b"\x12\x34", given, payload) if qos else (name + given, payload))
    assert (size, is_1) == (len(packet), bool(qos))
    assert len(packet) >= HEAD
