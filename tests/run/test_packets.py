from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES
from flowrunner.run.link import Terms
from flowrunner.run.outbox import Outgoing
from flowrunner.run.packets import (
    MOST_IN_TABLE,
    PUBLISH,
    check_size,
    find_packet,
    header_table,
    pack_publish,
    read_answer,
    read_publish,
    repeat,
    restore,
)
from flowrunner.run.properties import from_paho, to_paho
from flowrunner.run.property_codec import Malformed, pack_length, pack_properties, read_length, read_properties
from tests.run.test_parts import PROPERTIES, TEXTS

TOPICS = TEXTS.filter(bool)


def paho_properties(packed: bytes, kind: int = PacketTypes.PUBLISH) -> Any:
    properties = PahoProperties(kind)  # type: ignore[no-untyped-call]
    properties.unpack(packed)  # type: ignore[no-untyped-call]
    return properties


@given(st.integers(0, 268_435_455), st.binary(max_size=3))
def test_lengths_survive(number: int, after: bytes) -> None:
    packed = pack_length(number)
    assert read_length(packed + after, 0) == (number, len(packed))
    assert len(packed) <= 4


def test_a_length_has_four_bytes_at_most() -> None:
    with pytest.raises(Malformed):
        read_length(b"\x80\x80\x80\x80\x01", 0)
    with pytest.raises(IndexError):
        read_length(b"\x80\x80", 0)


@given(PROPERTIES, st.binary(max_size=5))
def test_properties_are_packed_and_read_as_paho_does(properties: dict[str, Any], payload: bytes) -> None:
    packed = pack_properties(properties)
    assert from_paho(paho_properties(packed)) == (properties, ())
    assert read_properties(b"x" + packed + payload, 1) == (properties, (), 1 + len(packed))
    made = to_paho(properties)
    if made is not None:
        assert read_properties(made.pack(), 0)[0] == properties  # type: ignore[no-untyped-call]


@given(st.lists(st.integers(1, 268_435_455), max_size=4), st.binary(max_size=60))
def test_any_bytes_are_read_as_paho_does(identifiers: list[int], noise: bytes) -> None:
    properties = b"".join(b"\x0b" + pack_length(identifier) for identifier in identifiers)
    assert read_properties(pack_length(len(properties)) + properties, 0)[:2] == (NO_PROPERTIES, tuple(identifiers))
    if b"\xef\xbb\xbf" in noise:
        return
    try:
        expected = from_paho(paho_properties(noise))
    except Exception:  # noqa: BLE001 - paho raises many things
        with pytest.raises(Malformed):
            read_properties(noise, 0)
    else:
        assert read_properties(noise, 0)[:2] == expected


def test_a_text_that_begins_with_a_byte_order_mark_is_a_text() -> None:
    """MQTT 5.0 section 1.5.4: it must not be refused; paho does."""
    packed = pack_properties({"content_type": "\ufefftext"})
    assert read_properties(packed, 0)[0] == {"content_type": "\ufefftext"}


@given(
    TOPICS, st.binary(max_size=300), st.integers(0, 2), st.booleans(), PROPERTIES, st.sampled_from([4, 5]),
    st.integers(1, 65_535),
)  # fmt: skip
def test_publishes_survive(
    topic: str, payload: bytes, qos: int, retain: bool, properties: dict[str, Any], version: int, number: int
) -> None:
    outgoing = Outgoing(topic, payload, qos, retain, properties)
    packet = b"".join(pack_publish(outgoing, number, Terms(version)))
    found = find_packet(packet, 0)
    assert found is not None
    assert found[1] == len(packet)
    body = packet[found[0] :]
    read = read_publish(packet[0], body, is_v5=version == 5)
    assert (read.topic.decode(), read.qos, read.retain, body[read.begin :]) == (topic, qos, retain, payload)
    assert read.number == (number if qos else 0)
    assert read.properties == (properties if version == 5 else {})


@given(TOPICS, st.binary(max_size=300), st.booleans(), st.sampled_from([4, 5]))
def test_a_publish_is_restored_from_its_pieces(topic: str, payload: bytes, retain: bool, version: int) -> None:
    outgoing = Outgoing(topic, payload, 1, retain, NO_PROPERTIES)
    pieces = pack_publish(outgoing, 7, Terms(version))
    assert restore(pieces) == outgoing
    again = repeat(pieces)
    assert again[0][0] == pieces[0][0] | 8
    assert again[1:] == pieces[1:]


@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_the_table_holds_what_would_be_packed(between: int) -> None:
    table = header_table(PUBLISH, between)
    assert len(table) == MOST_IN_TABLE + 1
    for size, header in enumerate(table):
        assert header == b"\x30" + pack_length(size + between)


@pytest.mark.parametrize(
    ("first", "body", "is_v5"),
    [
        (0x30, b"", True), (0x30, b"\0", True), (0x30, b"\0\5a", True), (0x36, b"\0\1a\0\1\0", True),
        (0x32, b"\0\1a\0", True), (0x30, b"\0\1a", True), (0x30, b"\0\0x", False), (0x32, b"\0\1a\0", False),
    ],
)  # fmt: skip
def test_a_publish_that_is_none(first: int, body: bytes, is_v5: bool) -> None:
    with pytest.raises(Malformed):
        read_publish(first, body, is_v5=is_v5)


def test_answers_have_a_number_and_in_mqtt_5_a_reason() -> None:
    assert read_answer(0x40, b"\1\2", is_v5=False) == read_answer(0x40, b"\1\2", is_v5=True) == (258, 0)
    assert read_answer(0x40, b"\1\2\x10", is_v5=True) == (258, 16)
    assert read_answer(0x50, b"\1\2\x87\0", is_v5=True) == (258, 0x87)
    assert read_answer(0x50, b"\1\2\x87\6\x1f\0\3why", is_v5=True) == (258, 0x87)


@pytest.mark.parametrize(
    ("body", "is_v5"),
    [(b"", True), (b"\1", True), (b"\1\2\3", False), (b"\1\2\x55", True), (b"\1\2\0\5\x1f\0\7wh", True)],
)
def test_an_answer_that_is_none(body: bytes, is_v5: bool) -> None:
    with pytest.raises(Malformed):
        read_answer(0x40, body, is_v5=is_v5)


@given(TOPICS, st.binary(max_size=200), st.integers(0, 2), PROPERTIES, st.integers(10, 400))
def test_what_is_too_large_is_what_would_be_sent(
    topic: str, payload: bytes, qos: int, properties: dict[str, Any], most: int
) -> None:
    terms = Terms(maximum_packet=most)
    outgoing = Outgoing(topic, payload, qos, False, properties)
    if sum(map(len, pack_publish(outgoing, 1, terms))) > most:
        with pytest.raises(StepError, match="than the broker accepts"):
            check_size(outgoing, terms)
    else:
        check_size(outgoing, terms)
