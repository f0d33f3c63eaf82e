"""CONNECT, CONNACK and DISCONNECT: MQTT 3.1.1 and 5.0 sections 3.1, 3.2 and 3.14. Tests are named after clauses."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from flowrunner.broker import BrokerThread, Limits
from tests.broker.conftest import Client
from tests.broker.wire import CONNACK, PUBLISH, Closed, Wire, packet, properties, read_properties, text, u16, u32

Bare = Callable[[int], Wire]


def connack_properties(body: bytes) -> dict[int, list[object]]:
    return read_properties(body, 2)[0]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_each_version_is_let_in(bare: Bare, version: int) -> None:
    answer = bare(version).connect("me")
    assert answer.body[:2] == b"\x00\x00"


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_1_0_1_the_first_packet_must_be_connect(bare: Bare, version: int) -> None:
    wire = bare(version)
    wire.send(b"\xc0\x00")
    assert wire.expect_closed() == []


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_1_0_2_a_second_connect_ends_the_connection(bare: Bare, version: int) -> None:
    wire = bare(version)
    wire.connect("me")
    flags = b"\x05\x02\x00\x00\x00" if version == 5 else b"\x04\x02\x00\x00"
    wire.send(packet(0x10, text("MQTT"), flags, text("me")))
    answers = wire.expect_closed()
    assert [each.body[:1] for each in answers] == ([b"\x82"] if version == 5 else [])


def test_mqtt_3_1_2_1_another_protocol_is_not_answered(bare: Bare) -> None:
    wire = bare(4)
    wire.send(packet(0x10, text("MQXX"), b"\x04\x02\x00\x00", text("me")))
    assert wire.expect_closed() == []


@pytest.mark.parametrize(("level", "answer"), [(3, b"\x00\x01"), (2, b"\x00\x01"), (6, b"\x00\x84"), (99, b"\x00\x84")])
def test_mqtt_3_1_2_2_another_version_is_refused(bare: Bare, level: int, answer: bytes) -> None:
    wire = bare(4)
    wire.send(packet(0x10, text("MQTT"), bytes((level, 2)), u16(0), text("me")))
    assert wire.expect(CONNACK).body[:2] == answer
    assert wire.expect_closed() == []


FLAGS = [
    ("mqtt_3_1_2_3_the_reserved_flag_is_set", 0x03),
    ("mqtt_3_1_2_11_a_will_qos_without_a_will", 0x0A),
    ("mqtt_3_1_2_12_a_will_with_qos_3", 0x1E),
    ("mqtt_3_1_2_13_a_retained_will_without_a_will", 0x22),
]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("flags", [each[1] for each in FLAGS], ids=[each[0] for each in FLAGS])
def test_flags_that_mean_nothing(bare: Bare, version: int, flags: int) -> None:
    wire = bare(version)
    middle = properties() if version == 5 else b""
    will = middle + text("t") + text("p") if flags & 4 else b""
    wire.send(packet(0x10, text("MQTT"), bytes((version, flags)), u16(0), middle, text("me"), will))
    answers = wire.expect_closed()
    assert [each.body[1] for each in answers] == ([0x81] if version == 5 else [])


def test_mqtt_3_1_2_22_a_password_needs_a_user_name_in_3_1_1(bare: Bare) -> None:
    wire = bare(4)
    wire.send(packet(0x10, text("MQTT"), b"\x04\x42", u16(0), text("me"), text("secret")))
    assert wire.expect_closed() == []


def test_mqtt_3_1_3_8_an_empty_client_id_needs_a_clean_session_in_3_1_1(bare: Bare) -> None:
    wire = bare(4)
    assert wire.connect("", clean=False).body == b"\x00\x02"
    assert wire.expect_closed() == []


def test_mqtt_3_1_3_6_an_empty_client_id_is_replaced(client: Client, bare: Bare) -> None:
    client("", version=4)
    first, second = (connack_properties(bare(5).connect("").body)[18] for _ in range(2))
    assert first != second


def test_mqtt_3_2_2_2_a_clean_start_has_no_session(client: Client, bare: Bare) -> None:
    client("me", clean=False).disconnect()
    assert bare(4).connect("me", clean=False).body == b"\x01\x00"
    assert bare(4).connect("me", clean=True).body == b"\x00\x00"
    assert bare(4).connect("me", clean=False).body == b"\x00\x00"


def test_mqtt_3_1_4_3_a_second_client_takes_over(client: Client) -> None:
    old = client("me", version=5)
    client("me", version=4)
    (farewell,) = old.expect_closed()
    assert farewell.body[:1] == b"\x8e"


def test_an_old_client_that_is_taken_over_is_just_closed(client: Client) -> None:
    old = client("me", version=4)
    client("me", version=5)
    assert old.expect_closed() == []


def test_a_connack_tells_what_the_broker_takes(bare: Bare) -> None:
    found = connack_properties(bare(5).connect("me").body)
    limits = Limits()
    assert found == {33: [limits.receive_maximum], 34: [limits.topic_aliases], 39: [limits.packet_size]}


def test_mqtt_3_2_2_21_a_keep_alive_that_is_too_long_is_replaced() -> None:
    with BrokerThread(limits=Limits(keep_alive=30)) as broker:
        for wanted, expected in ((0, [30]), (60, [30]), (30, None), (5, None)):
            with Wire(broker.port, 5) as wire:
                assert connack_properties(wire.connect(keep_alive=wanted).body).get(19) == expected


def test_mqtt_3_1_2_22_a_silent_client_is_disconnected(client: Client) -> None:
    silent = client("silent", version=5, keep_alive=1, will=("gone", b"silent", 0, False))
    watcher = client("watcher", keep_alive=0)
    watcher.subscribe("gone")
    assert watcher.message().payload == b"silent"
    assert [each.body[:1] for each in silent.expect_closed()] == [b"\x8d"]


def test_who_pings_or_has_no_keep_alive_is_not_silent(client: Client) -> None:
    quiet, pinging, silent = client("quiet"), client("pinging", keep_alive=1), client("silent", keep_alive=1)
    closed = False
    while not closed:
        pinging.waiting()
        try:
            silent.read(timeout=0.2)
        except TimeoutError:
            continue
        except Closed:
            closed = True
    assert pinging.waiting() == quiet.waiting() == []


def test_who_sends_no_connect_in_time_is_closed() -> None:
    with BrokerThread(limits=Limits(connect_timeout=0.05)) as broker, Wire(broker.port) as wire:
        wire.send(b"\x10\x20\x00\x04MQ")
        assert wire.expect_closed() == []


def test_too_many_clients_are_refused() -> None:
    with BrokerThread(limits=Limits(sessions=1)) as broker, Wire(broker.port, 5) as first:
        first.connect("one")
        for version, code in ((4, 3), (5, 0x97)):
            with Wire(broker.port, version) as second:
                assert second.connect("two").body[1] == code
        with Wire(broker.port, 5) as again:
            assert again.connect("one").body[1] == 0


def test_an_authentication_method_is_refused(bare: Bare) -> None:
    wire = bare(5)
    assert wire.connect("me", extra=b"\x15" + text("SCRAM-SHA-1")).body[1] == 0x8C
    assert wire.expect_closed() == []


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (b"\x11" + u32(1) + b"\x11" + u32(1), 0x82),
        (b"\x21" + u16(0), 0x82),
        (b"\x27" + u32(0), 0x82),
        (b"\x17\x02", 0x82),
        (b"\x19\x02", 0x82),
        (b"\x01\x01", 0x81),
        (b"\x99\x01", 0x81),
        (b"\x11\x00", 0x81),
    ],
    ids=["twice", "receive_maximum_0", "packet_size_0", "problem_2", "response_2", "of_publish", "unknown", "short"],
)
def test_mqtt_2_2_2_wrong_properties_are_refused(bare: Bare, extra: bytes, code: int) -> None:
    wire = bare(5)
    assert wire.connect("me", extra=extra).body[1] == code
    assert wire.expect_closed() == []


def test_mqtt_3_14_2_2_a_session_that_was_to_end_is_not_kept_after_all(client: Client) -> None:
    wire = client("me", version=5)
    wire.send(packet(0xE0, b"\x00", properties(b"\x11" + u32(60))))
    assert [each.body[:1] for each in wire.expect_closed()] == [b"\x82"]


def test_a_disconnect_can_shorten_the_session(client: Client, bare: Bare) -> None:
    wire = client("me", version=5, extra=b"\x11" + u32(60))
    wire.send(packet(0xE0, b"\x00", properties(b"\x11" + u32(0))))
    assert wire.expect_closed() == []
    assert bare(5).connect("me", clean=False).body[0] == 0


def test_mqtt_3_14_1_1_a_disconnect_with_flags_is_malformed(client: Client) -> None:
    wire = client("me", version=5)
    wire.send(b"\xe1\x00")
    assert [each.body[:1] for each in wire.expect_closed()] == [b"\x81"]


def test_mqtt_3_1_2_29_reasons_are_not_given_to_who_does_not_want_them(client: Client) -> None:
    wire = client("me", version=5, extra=b"\x17\x00")
    wire.send(b"\xc1\x00")
    (farewell,) = wire.expect_closed()
    assert farewell.body == b"\x81"


def test_reasons_are_given_to_who_wants_them(client: Client) -> None:
    wire = client("me", version=5)
    wire.send(b"\xc1\x00")
    (farewell,) = wire.expect_closed()
    assert read_properties(farewell.body, 1)[0] == {31: ["the flags of a PINGREQ are wrong"]}


def test_a_reason_that_is_too_long_for_the_client_is_left_out(client: Client) -> None:
    wire = client("me", version=5, extra=b"\x27" + u32(20))
    wire.send(b"\xc1\x00")
    (farewell,) = wire.expect_closed()
    assert farewell.body == b"\x81"


def test_a_client_may_send_everything_at_once_and_go(client: Client, broker: BrokerThread) -> None:
    """As a script does that connects, publishes and exits without ever reading."""
    watcher = client("watcher")
    watcher.subscribe("burst")
    for index in range(50):
        with Wire(broker.port) as wire:
            hello = packet(0x10, text("MQTT"), b"\x04\x02\x00\x00", text(f"burst{index}"))
            wire.send(hello, packet(0x30, text("burst"), str(index).encode()))
    received = {watcher.message().payload for _ in range(50)}
    assert received == {str(index).encode() for index in range(50)}


def test_a_packet_in_single_bytes_is_understood(client: Client, bare: Bare) -> None:
    watcher = client("watcher")
    watcher.subscribe("t")
    wire = bare(5)
    stream = packet(0x10, text("MQTT"), b"\x05\x02\x00\x00\x00", text("me"))
    stream += packet(0x30, text("t"), b"\x00", b"x" * 200)
    for place in range(len(stream)):
        wire.send(stream[place : place + 1])
    assert wire.expect(CONNACK).body[1] == 0
    assert watcher.expect(PUBLISH).body[3:] == b"x" * 200


SCRIPT = """
import os, sys
import paho.mqtt.client as mqtt

for number in range(50):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=int(sys.argv[2]))
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.publish("burst", str(number))
os._exit(0)
"""


@pytest.mark.parametrize("version", [4, 5])
def test_scripts_with_paho_that_publish_and_exit_without_a_loop(
    client: Client, broker: BrokerThread, version: int
) -> None:
    watcher = client("watcher")
    watcher.subscribe("burst")
    subprocess.run([sys.executable, "-c", SCRIPT, str(broker.port), str(version)], check=True, timeout=30)
    received = {int(watcher.message().payload) for _ in range(50)}
    assert received == set(range(50))
