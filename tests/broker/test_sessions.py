"""What outlives a connection: sessions, messages in flight, wills (MQTT 5.0 sections 3.1.2.5, 3.1.2.11, 4.1, 4.4)."""

import asyncio

import pytest

from flowrunner.broker import Broker, BrokerThread, Limits
from tests.broker.conftest import Client
from tests.broker.wire import PUBACK, PUBLISH, PUBREC, PUBREL, Wire, packet, text, u16, u32

MINUTE = b"\x11" + u32(60)


def lasting(version: int) -> dict[str, object]:
    return {"version": version, "clean": False, "extra": MINUTE if version == 5 else b""}


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_1_2_5_a_kept_session_gets_what_it_missed(client: Client, version: int) -> None:
    first = client("me", **lasting(version))
    first.subscribe(("t/1", 1), ("t/2", 2), ("t/0", 0))
    first.disconnect()
    sender = client("sender")
    for qos in (0, 1, 2):
        sender.publish(f"t/{qos}", b"%d" % qos, qos=qos)
    sender.publish("t/1", b"low", qos=0)
    sender.waiting()
    assert [each.payload for each in client("me", **lasting(version)).messages()] == [b"1", b"2"]


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_4_4_0_1_what_was_not_acknowledged_is_sent_again(client: Client, version: int) -> None:
    first = client("me", **lasting(version))
    first.subscribe(("t", 2))
    sender = client("sender")
    for payload, qos in ((b"a", 1), (b"b", 2), (b"c", 2), (b"d", 1)):
        sender.publish("t", payload, qos=qos)
    sender.waiting()
    sent = [first.message(answer=False) for _ in range(4)]
    first.send(packet(0x50, u16(sent[1].packet_id)))
    assert first.expect(PUBREL).body == u16(sent[1].packet_id)
    first.close()
    second = client("me", **lasting(version))
    again = [second.read() for _ in range(4)]
    assert [each.kind for each in again] == [PUBLISH, PUBREL, PUBLISH, PUBLISH]
    messages = [second.take_apart(each) for each in again if each.kind == PUBLISH]
    assert [(each.payload, each.dup, each.packet_id) for each in messages] == [
        (message.payload, True, message.packet_id) for message in sent if message.payload != b"b"
    ]
    second.send(packet(0x70, u16(sent[1].packet_id)), packet(0x40, u16(sent[0].packet_id)))
    second.disconnect()
    third = client("me", **lasting(version))
    assert [each.payload for each in third.messages()] == [b"c", b"d"]
    assert third.messages() == []


def test_a_smaller_window_holds_for_what_is_sent_again(client: Client) -> None:
    first = client("me", version=5, clean=False, extra=MINUTE)
    first.subscribe(("t", 1))
    sender = client("sender")
    for index in range(5):
        sender.publish("t", b"%d" % index, qos=1)
    sender.waiting()
    for _ in range(5):
        first.message(answer=False)
    first.close()
    second = client("me", version=5, clean=False, extra=MINUTE + b"\x21" + u16(2))
    assert [second.take_apart(each).payload for each in second.waiting()] == [b"0", b"1"]
    sender.publish("t", b"5", qos=1)
    sender.waiting()
    assert second.waiting() == []
    second.send(packet(0x40, u16(1)), packet(0x40, u16(2)))
    assert [each.payload for each in second.messages()] == [b"2", b"3", b"4", b"5"]


def test_a_qos_2_message_that_was_begun_is_not_handed_on_twice(client: Client) -> None:
    receiver = client("receiver")
    receiver.subscribe(("t", 2))
    first = client("me", clean=False)
    packet_id = first.publish("t", b"once", qos=2)
    first.expect(PUBREC)
    first.close()
    second = client("me", clean=False)
    second.publish("t", b"once", qos=2, packet_id=packet_id, dup=True)
    assert second.expect(PUBREC).body == u16(packet_id)
    assert [each.payload for each in receiver.messages()] == [b"once"]


def test_mqtt_3_1_2_23_a_session_without_expiry_ends_with_its_connection(client: Client) -> None:
    first = client("me", version=5, clean=False)
    first.subscribe(("t", 1))
    first.disconnect()
    sender = client("sender", version=5)
    packet_id = sender.publish("t", qos=1)
    assert sender.expect(PUBACK).body == u16(packet_id) + b"\x10"


def test_a_session_expires(client: Client, broker: BrokerThread) -> None:
    client("me", version=5, clean=False, extra=b"\x11" + u32(1)).subscribe(("t", 1))
    kept = client("kept", version=5, clean=False, extra=MINUTE)
    kept.subscribe(("u", 1))
    client("me", version=5, clean=False, extra=b"\x11" + u32(1)).close()
    kept.close()
    sender = client("sender", version=5)
    while True:
        packet_id = sender.publish("t", qos=1)
        if sender.expect(PUBACK).body == u16(packet_id) + b"\x10":
            break
    packet_id = sender.publish("u", qos=1)
    assert sender.expect(PUBACK).body == u16(packet_id)


def test_a_connection_that_returns_in_time_keeps_the_session(client: Client) -> None:
    extra = b"\x11" + u32(1)
    client("me", version=5, clean=False, extra=extra).subscribe(("t", 1))
    client("me", version=5, clean=False, extra=extra).close()
    back, silent = client("me", version=5, clean=False, extra=extra), client("silent", keep_alive=1)
    silent.expect_closed()
    sender = client("sender")
    sender.publish("t", b"still", qos=1)
    assert back.message().payload == b"still"


def test_a_session_changes_its_version(client: Client) -> None:
    old = client("me", version=4, clean=False)
    old.subscribe(("t", 1))
    old.disconnect()
    sender = client("sender", version=5)
    sender.publish("t", b"x", qos=1, extra=b"\x26" + text("a") + text("b"))
    sender.waiting()
    assert client("me", version=5, clean=False, extra=MINUTE).message().properties == {38: [("a", "b")]}


def test_queues_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(queued_messages=5, queued_bytes=100)
    with (
        BrokerThread(limits=limits, status_interval=0) as broker,
        Wire(broker.port) as wire,
        Wire(broker.port) as sender,
    ):
        wire.connect("me", clean=False)
        wire.subscribe(("t", 1))
        wire.disconnect()
        sender.connect("sender")
        sender.publish("t", b"x" * 101, qos=1)
        for index in range(8):
            sender.publish("t", b"%d" % index, qos=1)
        sender.waiting()
        with Wire(broker.port) as again:
            again.connect("me", clean=False)
            assert [each.payload for each in again.messages()] == [b"0", b"1", b"2", b"3", b"4"]
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "me takes messages too slowly: those over the limit are dropped"
    ]


def will(payload: bytes = b"gone", qos: int = 0, retain: bool = False) -> tuple[str, bytes, int, bool]:
    return "will/me", payload, qos, retain


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_1_2_8_a_will_is_sent_for_who_goes_without_a_word(client: Client, version: int) -> None:
    watcher = client("watcher")
    watcher.subscribe(("will/#", 2))
    client("me", version=version, will=will(qos=2, retain=True)).close()
    assert watcher.message().qos == 2
    late = client("late")
    late.subscribe("will/#")
    assert [(each.payload, each.retain) for each in late.messages()] == [(b"gone", True)]


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_14_4_3_a_goodbye_removes_the_will(client: Client, version: int) -> None:
    watcher = client("watcher")
    watcher.subscribe("will/#")
    client("me", version=version, will=will()).disconnect()
    assert watcher.messages() == []


def test_a_goodbye_with_will_sends_it(client: Client) -> None:
    watcher = client("watcher")
    watcher.subscribe("will/#")
    client("me", version=5, will=will()).disconnect(reason=4)
    assert watcher.message().payload == b"gone"


@pytest.mark.parametrize("version", [4, 5])
def test_a_fault_sends_the_will(client: Client, version: int) -> None:
    watcher = client("watcher")
    watcher.subscribe("will/#")
    client("me", version=version, will=will()).send(b"\x00\x00")
    assert watcher.message().payload == b"gone"


def test_a_take_over_sends_the_will(client: Client) -> None:
    watcher = client("watcher")
    watcher.subscribe("will/#")
    client("me", will=will())
    client("me")
    assert watcher.message().payload == b"gone"


def test_mqtt_3_1_3_2_2_a_will_is_delayed(client: Client) -> None:
    watcher, probe = client("watcher"), client("probe", keep_alive=1)
    watcher.subscribe("will/#")
    client("me", version=5, extra=MINUTE, will=will(), will_extra=b"\x18" + u32(1)).close()
    assert watcher.messages() == []
    assert watcher.message().payload == b"gone"
    probe.close()


def test_mqtt_3_1_3_9_who_returns_in_time_leaves_no_will(client: Client) -> None:
    watcher, silent = client("watcher"), client("silent", keep_alive=1)
    watcher.subscribe("will/#")
    options = {"version": 5, "clean": False, "extra": MINUTE}
    client("me", will=will(), will_extra=b"\x18" + u32(1), **options).close()
    client("me", **options)
    silent.expect_closed()
    assert watcher.messages() == []


def test_a_delayed_will_is_sent_when_the_session_ends_first(client: Client) -> None:
    watcher = client("watcher")
    watcher.subscribe("will/#")
    delayed = {"version": 5, "will": will(), "will_extra": b"\x18" + u32(600)}
    client("me", **delayed).close()
    assert watcher.message().payload == b"gone"
    client("me", extra=MINUTE, **delayed).close()
    assert watcher.messages() == []
    client("me", version=5, clean=True)
    assert watcher.message().payload == b"gone"


def test_a_will_has_properties(client: Client) -> None:
    watcher = client("watcher", version=5)
    watcher.subscribe("will/#")
    extra = b"\x03" + text("text/plain") + b"\x26" + text("a") + text("b") + b"\x18" + u32(0)
    client("me", version=5, will=will(), will_extra=extra).close()
    assert watcher.message().properties == {3: ["text/plain"], 38: [("a", "b")]}


@pytest.mark.parametrize("topic", ["will/#", "will/+", "", "$SYS/broker/version"])
def test_a_will_needs_a_topic_that_can_be_published_to(broker: BrokerThread, topic: str) -> None:
    with Wire(broker.port, 5) as wire:
        assert wire.connect("me", will=(topic, b"x", 0, False)).body[1] in (0x87, 0x90)


def test_mqtt_3_1_3_9_a_will_must_not_hold_properties_of_others(broker: BrokerThread) -> None:
    with Wire(broker.port, 5) as wire:
        assert wire.connect("me", will=will(), will_extra=b"\x23" + u16(1)).body[1] == 0x81


async def test_stopping_sends_no_wills_and_tells_the_clients() -> None:
    loop = asyncio.get_running_loop()
    async with Broker(port=0, status_interval=0) as broker:
        watcher, dying = Wire(broker.port, 5), Wire(broker.port, 5)
        await loop.run_in_executor(None, lambda: watcher.connect("watcher"))
        await loop.run_in_executor(None, lambda: watcher.subscribe("will/#"))
        await loop.run_in_executor(None, lambda: dying.connect("dying", will=will()))
    for wire in (watcher, dying):
        answers = await loop.run_in_executor(None, wire.expect_closed)
        assert [each.body[0] for each in answers] == [0x8B]
        wire.close()


def test_without_passwords_user_names_mean_nothing(client: Client) -> None:
    client("me", clean=False, user="anna").disconnect()
    client("me", clean=False, user="bert").disconnect()
    client("me", clean=False)


def test_no_local_holds_for_ones_own_will(client: Client) -> None:
    options = {"version": 5, "clean": False, "extra": MINUTE}
    wire = client("me", will=will(qos=1), **options)
    wire.subscribe(("will/#", 1 | 4))
    wire.disconnect(reason=4)
    assert client("me", **options).messages() == []
