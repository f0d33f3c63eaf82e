"""PUBLISH and its acknowledgements, in both directions: MQTT 5.0 sections 3.3 to 3.7 and 4.3."""

import pytest

from flowrunner.broker import BrokerThread, Limits
from flowrunner.broker.limits import Limits as AllLimits
from flowrunner.broker.message import Message as BrokerMessage
from flowrunner.broker.retained import Retained
from flowrunner.topics import parse_filter
from tests.broker.conftest import Client
from tests.broker.wire import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    Message,
    Wire,
    packet,
    read_properties,
    text,
    u16,
    u32,
)

QOS = (0, 1, 2)


@pytest.mark.parametrize("receiver_version", [3, 4, 5])
@pytest.mark.parametrize("sender_version", [3, 4, 5])
def test_a_message_goes_from_every_version_to_every_version(
    client: Client, sender_version: int, receiver_version: int
) -> None:
    sender, receiver = client("sender", version=sender_version), client("receiver", version=receiver_version)
    receiver.subscribe(("a/+", 2))
    for qos in QOS:
        sender.publish("a/b", b"%d" % qos, qos=qos)
    sender.waiting()
    assert [(each.topic, each.payload, each.qos, each.retain) for each in receiver.messages()] == [
        ("a/b", b"%d" % qos, qos, False) for qos in QOS
    ]


@pytest.mark.parametrize("wanted", QOS)
@pytest.mark.parametrize("sent", QOS)
def test_mqtt_3_8_4_8_the_lower_qos_counts(client: Client, sent: int, wanted: int) -> None:
    sender, receiver = client("sender"), client("receiver")
    assert receiver.subscribe(("t", wanted)) == bytes((wanted,))
    sender.publish("t", b"x", qos=sent)
    sender.waiting()
    assert [each.qos for each in receiver.messages()] == [min(sent, wanted)]


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_4_3_2_qos_1_is_acknowledged(client: Client, version: int) -> None:
    sender = client("sender", version=version)
    client("receiver").subscribe("t")
    packet_id = sender.publish("t", qos=1)
    assert sender.expect(PUBACK).body == u16(packet_id)


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_4_3_3_qos_2_is_handed_on_once(client: Client, version: int) -> None:
    sender, receiver = client("sender", version=version), client("receiver")
    receiver.subscribe(("t", 2))
    packet_id = sender.publish("t", b"x", qos=2)
    assert sender.expect(PUBREC).body == u16(packet_id)
    sender.publish("t", b"x", qos=2, packet_id=packet_id, dup=True)
    assert sender.expect(PUBREC).body == u16(packet_id)
    sender.send(packet(0x62, u16(packet_id)))
    assert sender.expect(PUBCOMP).body == u16(packet_id)
    sender.publish("t", b"y", qos=2, packet_id=packet_id)
    assert sender.expect(PUBREC).body == u16(packet_id)
    assert [each.payload for each in receiver.messages()] == [b"x", b"y"]


def test_nobody_who_wants_it_is_said_with_mqtt_5(client: Client) -> None:
    sender = client("sender", version=5)
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        packet_id = sender.publish("t", qos=qos)
        assert sender.expect(kind).body == u16(packet_id) + b"\x10"


def test_an_unknown_packet_id_is_said_with_mqtt_5(client: Client) -> None:
    new, old = client("new", version=5), client("old", version=4)
    for wire, reason in ((new, b"\x92"), (old, b"")):
        wire.send(packet(0x62, u16(7)))
        assert wire.expect(PUBCOMP).body == u16(7) + reason
        wire.send(packet(0x50, u16(8)))
        assert wire.expect(PUBREL).body == u16(8) + reason
        wire.send(packet(0x40, u16(9)), packet(0x70, u16(9)))
        assert wire.waiting() == []


def test_a_refusal_of_qos_2_ends_the_message(client: Client) -> None:
    sender, receiver = client("sender"), client("receiver", version=5, extra=b"\x21" + u16(1))
    receiver.subscribe(("t", 2))
    for payload in (b"1", b"2"):
        sender.publish("t", payload, qos=2)
    first = receiver.message(answer=False)
    receiver.send(packet(0x50, u16(first.packet_id), b"\x97"))
    assert receiver.message().payload == b"2"


def test_mqtt_4_6_0_6_order_is_kept_per_qos(client: Client) -> None:
    sender, receiver = client("sender"), client("receiver")
    receiver.subscribe(("t", 2))
    for index in range(300):
        sender.publish("t", b"%d" % index, qos=index % 3)
    sender.waiting()
    found = receiver.messages()
    for qos in QOS:
        assert [each.payload for each in found if each.qos == qos] == [b"%d" % index for index in range(qos, 300, 3)]


def test_mqtt_3_3_4_9_the_receive_maximum_is_kept(client: Client) -> None:
    sender, receiver = client("sender"), client("receiver", version=5, extra=b"\x21" + u16(3))
    receiver.subscribe(("t", 1))
    for index in range(10):
        sender.publish("t", b"%d" % index, qos=1)
    sender.waiting()
    waiting = [receiver.take_apart(each) for each in receiver.waiting()]
    assert [each.payload for each in waiting] == [b"0", b"1", b"2"]
    receiver.send(packet(0x40, u16(waiting[1].packet_id)))
    assert [receiver.take_apart(each).payload for each in receiver.waiting()] == [b"3"]


def test_mqtt_3_1_2_24_what_is_too_large_for_a_client_is_not_sent(client: Client) -> None:
    sender = client("sender")
    small = client("small", version=5, extra=b"\x27" + u32(50) + b"\x21" + u16(1))
    small.subscribe(("t", 2))
    for qos in QOS:
        sender.publish("t", b"x" * 60, qos=qos)
        sender.publish("t", b"%d" % qos, qos=qos)
    sender.waiting()
    assert [each.payload for each in small.messages()] == [b"0", b"1", b"2"]


EVERYTHING = (
    b"\x01\x01" + b"\x03" + text("text/plain") + b"\x08" + text("answer/here") + b"\x09" + text(b"\x00\xff")
    + b"\x26" + text("a") + text("1") + b"\x26" + text("b") + text("2") + b"\x26" + text("a") + text("1")
)  # fmt: skip


@pytest.mark.parametrize("qos", QOS)
def test_mqtt_3_3_2_17_properties_are_passed_on_in_order(client: Client, qos: int) -> None:
    sender, receiver = client("sender", version=5), client("receiver", version=5)
    receiver.subscribe(("t", 2))
    sender.publish("t", b"x", qos=qos, extra=EVERYTHING)
    assert receiver.message().properties == {
        1: [1],
        3: ["text/plain"],
        8: ["answer/here"],
        9: [b"\x00\xff"],
        38: [("a", "1"), ("b", "2"), ("a", "1")],
    }


def test_properties_do_not_confuse_an_old_client(client: Client) -> None:
    sender, receiver = client("sender", version=5), client("receiver", version=4)
    receiver.subscribe("t")
    sender.publish("t", b"x", extra=EVERYTHING + b"\x02" + u32(10))
    assert receiver.message() == Message("t", b"x")


def test_mqtt_3_3_2_7_a_topic_alias_stands_for_its_topic(client: Client) -> None:
    sender, receiver = client("sender", version=5), client("receiver", version=5)
    receiver.subscribe("#")
    for topic, alias in (("a", 1), ("", 1), ("b", 2), ("", 1), ("", 2), ("c", 1), ("", 1)):
        sender.publish(topic, extra=b"\x23" + u16(alias))
    sender.waiting()
    assert [each.topic for each in receiver.messages()] == ["a", "a", "b", "a", "b", "c", "c"]


def test_mqtt_3_3_2_7_an_alias_lasts_as_long_as_its_connection(client: Client) -> None:
    first = client("me", version=5, clean=False, extra=b"\x11" + u32(60))
    first.publish("a", extra=b"\x23" + u16(1))
    first.disconnect()
    second = client("me", version=5, clean=False, extra=b"\x11" + u32(60))
    second.publish("", extra=b"\x23" + u16(1))
    assert [each.body[0] for each in second.expect_closed()] == [0x82]


def test_mqtt_3_3_1_5_a_retained_message_waits_for_subscribers(client: Client) -> None:
    sender, receiver = client("sender"), client("receiver")
    for payload in (b"old", b"new"):
        sender.publish("kept/x", payload, qos=1, retain=True)
    sender.publish("kept/y", b"passing")
    sender.waiting()
    receiver.subscribe(("kept/#", 1))
    assert [(each.topic, each.payload, each.qos, each.retain) for each in receiver.messages()] == [
        ("kept/x", b"new", 1, True)
    ]


def test_mqtt_3_3_1_6_an_empty_payload_removes_it(client: Client) -> None:
    sender, watcher = client("sender"), client("watcher")
    watcher.subscribe("kept")
    sender.publish("kept", b"x", retain=True)
    sender.publish("kept", b"", retain=True)
    assert [(each.payload, each.retain) for each in (watcher.message(), watcher.message())] == [
        (b"x", False),
        (b"", False),
    ]
    late = client("late")
    late.subscribe("kept")
    assert late.messages() == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("#", ["a", "a/b", "a/b/c", "x/y"]),
        ("a/#", ["a", "a/b", "a/b/c"]),
        ("+/#", ["a", "a/b", "a/b/c", "x/y"]),
        ("+/b", ["a/b"]),
        ("a/+/c", ["a/b/c"]),
        ("$intern/#", ["$intern/z"]),
        ("+/z", []),
        ("a", ["a"]),
        ("nothing", []),
    ],
)
def test_mqtt_4_7_2_1_retained_messages_match_as_others_do(client: Client, wanted: str, expected: list[str]) -> None:
    sender, receiver = client("sender"), client("receiver")
    for topic in ("a", "a/b", "a/b/c", "x/y", "$intern/z"):
        sender.publish(topic, b"x", retain=True)
    sender.waiting()
    receiver.subscribe(wanted)
    assert sorted(each.topic for each in receiver.messages()) == expected


def test_retained_messages_can_be_too_many(client: Client) -> None:
    limits = Limits(retained_messages=2, retained_bytes=10)
    with BrokerThread(limits=limits, status_interval=0) as broker, Wire(broker.port) as wire:
        wire.connect("me")
        for topic, payload in (("a", b"1"), ("b", b"2"), ("c", b"3"), ("a", b"4"), ("b", b"x" * 10)):
            wire.publish(topic, payload, retain=True)
        wire.subscribe("#")
        assert [(each.topic, each.payload) for each in wire.messages()] == [("a", b"4"), ("b", b"2")]


def kept(topic: str, payload: bytes = b"x", *, lifetime: int | None = None) -> BrokerMessage:
    return BrokerMessage(topic.encode(), payload, 0, True, b"", lifetime, 100.0)


def test_a_retained_message_that_expired_is_forgotten() -> None:
    store = Retained(AllLimits())
    store.keep("a", kept("a", lifetime=5))
    store.keep("b", kept("b"))
    everything = parse_filter("#")
    assert sorted(topic for topic, _ in store.find(everything, 104.9)) == ["a", "b"]
    assert [topic for topic, _ in store.find(everything, 105.0)] == ["b"]
    assert len(store) == 1


def test_a_store_that_was_emptied_holds_nothing() -> None:
    store = Retained(AllLimits())
    for topic in ("a", "a/b/c", "a/b", "/", "x//y"):
        store.keep(topic, kept(topic))
    for topic in ("a/b", "a", "x//y", "a/b/c", "/", "never/there"):
        store.forget(topic)
    assert len(store) == store._bytes == 0
    assert store._root.below == {}


def test_mqtt_3_3_2_6_the_expiry_interval_is_what_is_left_of_it() -> None:
    message = kept("a", b"", lifetime=10)
    for now, left in ((100.0, 10), (100.9, 10), (101.0, 9), (109.5, 1), (200.0, 0)):
        data, _ = message.parts(is_v5=True, flags=0, identifiers=b"", now=now)
        assert read_properties(data, 5)[0] == {2: [left]}
    assert not message.is_expired(109.9)
    assert message.is_expired(110.0)


def test_a_queued_message_expires(client: Client) -> None:
    lasting = b"\x11" + u32(600)
    client("me", version=5, clean=False, extra=lasting).subscribe(("t", 1))
    sender = client("sender", version=5)
    assert sender.waiting() == []
    again = client("other", version=5)
    again.subscribe(("t", 1))
    first = client("me", version=5, clean=False, extra=lasting)
    first.disconnect()
    sender.publish("t", b"short", qos=1, extra=b"\x02" + u32(1))
    sender.publish("t", b"long", qos=1, extra=b"\x02" + u32(600))
    sender.publish("t", b"ever", qos=1)
    watcher = client("watcher", version=5, keep_alive=1)  # is silent for longer than the message may wait
    watcher.expect_closed()
    second = client("me", version=5, clean=False, extra=lasting)
    found = second.messages()
    assert [each.payload for each in found] == [b"long", b"ever"]
    assert 590 < found[0].properties[2][0] < 600


def test_a_message_of_many_megabytes(client: Client) -> None:
    sender, receiver = client("sender"), client("receiver")
    payload = bytes(range(256)) * 4096 * 8
    receiver.subscribe(("t", 1))
    sender.publish("t", payload, qos=1)
    assert receiver.message().payload == payload
    sender.expect(PUBACK)


def test_the_broker_itself_can_publish(client: Client, broker: BrokerThread) -> None:
    receiver = client("receiver")
    receiver.subscribe("t")
    broker.publish("t", b"from within", is_retained=True)
    assert receiver.expect(PUBLISH).body == text("t") + b"from within"
