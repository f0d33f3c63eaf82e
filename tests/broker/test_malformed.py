"""What breaks the protocol ends its own connection, with the reason that the standard names, and nobody else's."""

import pytest

from flowrunner.broker import BrokerThread, Limits
from tests.broker.conftest import Client
from tests.broker.wire import Wire, packet, properties, text, u16, u32

MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID, ALIAS_INVALID = 0x81, 0x82, 0x90, 0x94

# Each: the clause, the packet as MQTT 3.1.1 has it (None: it does not exist there), as MQTT 5 has it, the reason.
CASES: list[tuple[str, bytes | None, bytes | None, int]] = [
    ("mqtt_2_1_3_1_pingreq_with_flags", b"\xc1\x00", b"\xc1\x00", MALFORMED),
    ("a_pingreq_with_a_body", b"\xc0\x01x", b"\xc0\x01x", MALFORMED),
    ("mqtt_2_2_1_3_publish_with_packet_id_0", b"\x32\x05\x00\x01t\x00\x00", b"\x32\x06\x00\x01t\x00\x00\x00", MALFORMED),
    ("mqtt_3_3_1_4_publish_with_qos_3", b"\x36\x05\x00\x01t\x00\x01", b"\x36\x06\x00\x01t\x00\x01\x00", MALFORMED),
    ("mqtt_3_3_1_2_duplicate_with_qos_0", b"\x38\x03\x00\x01t", b"\x38\x04\x00\x01t\x00", MALFORMED),
    ("mqtt_3_3_2_2_publish_to_a_wildcard", b"\x30\x03\x00\x01#", b"\x30\x04\x00\x01+\x00", TOPIC_INVALID),
    ("mqtt_4_7_3_1_publish_to_no_topic", b"\x30\x02\x00\x00", None, TOPIC_INVALID),
    ("mqtt_3_3_2_publish_to_no_topic_and_no_alias", None, b"\x30\x03\x00\x00\x00", PROTOCOL_ERROR),
    ("mqtt_4_7_3_2_publish_with_nul_in_the_topic", b"\x30\x03\x00\x01\x00", b"\x30\x04\x00\x01\x00\x00", MALFORMED),
    ("mqtt_1_5_4_1_publish_with_half_a_surrogate", b"\x30\x05\x00\x03\xed\xa0\x80", b"\x30\x06\x00\x03\xed\xa0\x80\x00", MALFORMED),
    ("mqtt_1_5_4_1_publish_with_broken_utf_8", b"\x30\x04\x00\x02\xc3(", b"\x30\x05\x00\x02\xc3(\x00", MALFORMED),
    ("publish_shorter_than_its_topic", b"\x30\x04\x00\x09ab", b"\x30\x04\x00\x09ab", MALFORMED),
    ("publish_without_a_packet_id", b"\x32\x03\x00\x01t", b"\x32\x03\x00\x01t", MALFORMED),
    ("publish_of_one_byte", b"\x30\x01\x00", b"\x30\x01\x00", MALFORMED),
    ("publish_without_properties", None, b"\x30\x03\x00\x01t", MALFORMED),
    ("publish_with_too_long_properties", None, b"\x30\x05\x00\x01t\x09\x01", MALFORMED),
    ("mqtt_3_3_2_8_topic_alias_0", None, packet(0x30, text("t"), properties(b"\x23\x00\x00")), ALIAS_INVALID),
    ("mqtt_3_3_2_9_topic_alias_above_the_maximum", None, packet(0x30, text("t"), properties(b"\x23\x7f\x00")), ALIAS_INVALID),
    ("topic_alias_that_stands_for_nothing", None, packet(0x30, text(""), properties(b"\x23\x00\x01")), PROTOCOL_ERROR),
    ("mqtt_3_3_4_6_publish_with_a_subscription_identifier", None, packet(0x30, text("t"), properties(b"\x0b\x01")), MALFORMED),
    ("mqtt_3_3_2_14_response_topic_with_a_wildcard", None, packet(0x30, text("t"), properties(b"\x08" + text("a/#"))), PROTOCOL_ERROR),
    ("payload_format_2", None, packet(0x30, text("t"), properties(b"\x01\x02")), PROTOCOL_ERROR),
    ("message_expiry_twice", None, packet(0x30, text("t"), properties(b"\x02" + u32(1) + b"\x02" + u32(1))), PROTOCOL_ERROR),
    ("mqtt_1_5_5_1_properties_with_a_long_length", None, b"\x30\x06\x00\x01t\x80\x00x", MALFORMED),
    ("property_length_of_five_bytes", None, b"\x30\x08\x00\x01t\xff\xff\xff\xff\x01", MALFORMED),
    ("mqtt_3_8_1_1_subscribe_with_wrong_flags", b"\x80\x06\x00\x01\x00\x01t\x00", b"\x80\x07\x00\x01\x00\x00\x01t\x00", MALFORMED),
    ("mqtt_3_8_3_2_subscribe_to_nothing", b"\x82\x02\x00\x01", b"\x82\x03\x00\x01\x00", PROTOCOL_ERROR),
    ("mqtt_3_8_3_4_subscribe_with_qos_3", b"\x82\x06\x00\x01\x00\x01t\x03", b"\x82\x07\x00\x01\x00\x00\x01t\x03", MALFORMED),
    ("mqtt_3_8_3_4_options_of_mqtt_5_in_3_1_1", b"\x82\x06\x00\x01\x00\x01t\x04", None, MALFORMED),
    ("mqtt_3_8_3_5_reserved_options", None, b"\x82\x07\x00\x01\x00\x00\x01t\x40", MALFORMED),
    ("retain_handling_3", None, b"\x82\x07\x00\x01\x00\x00\x01t\x30", PROTOCOL_ERROR),
    ("mqtt_3_8_3_4_shared_and_no_local", None, packet(0x82, u16(1), b"\x00", text("$share/g/t"), b"\x04"), PROTOCOL_ERROR),
    ("subscription_identifier_0", None, packet(0x82, u16(1), properties(b"\x0b\x00"), text("t"), b"\x00"), PROTOCOL_ERROR),
    ("mqtt_2_2_1_3_subscribe_with_packet_id_0", b"\x82\x06\x00\x00\x00\x01t\x00", b"\x82\x07\x00\x00\x00\x00\x01t\x00", MALFORMED),
    ("subscribe_without_options", b"\x82\x05\x00\x01\x00\x01t", b"\x82\x06\x00\x01\x00\x00\x01t", MALFORMED),
    ("mqtt_3_10_1_1_unsubscribe_with_wrong_flags", b"\xa0\x05\x00\x01\x00\x01t", b"\xa0\x06\x00\x01\x00\x00\x01t", MALFORMED),
    ("mqtt_3_10_3_2_unsubscribe_from_nothing", b"\xa2\x02\x00\x01", b"\xa2\x03\x00\x01\x00", PROTOCOL_ERROR),
    ("mqtt_3_6_1_1_pubrel_with_wrong_flags", b"\x60\x02\x00\x01", b"\x60\x02\x00\x01", MALFORMED),
    ("puback_with_flags", b"\x41\x02\x00\x01", b"\x41\x02\x00\x01", MALFORMED),
    ("puback_with_packet_id_0", b"\x40\x02\x00\x00", b"\x40\x02\x00\x00", MALFORMED),
    ("puback_of_one_byte", b"\x40\x01\x00", b"\x40\x01\x00", MALFORMED),
    ("puback_that_goes_on", b"\x40\x03\x00\x01\x00", b"\x40\x05\x00\x01\x00\x00x", MALFORMED),
    ("puback_with_properties_of_publish", None, packet(0x40, u16(1), b"\x00", properties(b"\x01\x00")), MALFORMED),
    ("disconnect_with_a_body", b"\xe0\x01\x00", None, MALFORMED),
    ("a_connack_from_a_client", b"\x20\x02\x00\x00", b"\x20\x02\x00\x00", PROTOCOL_ERROR),
    ("a_suback_from_a_client", b"\x90\x03\x00\x01\x00", b"\x90\x04\x00\x01\x00\x00", PROTOCOL_ERROR),
    ("a_pingresp_from_a_client", b"\xd0\x00", b"\xd0\x00", PROTOCOL_ERROR),
    ("auth_without_a_method", b"\xf0\x00", b"\xf0\x00", PROTOCOL_ERROR),
    ("packet_type_0", b"\x00\x00", b"\x00\x00", PROTOCOL_ERROR),
    ("mqtt_2_1_4_remaining_length_of_five_bytes", b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\xff\xff\x01", MALFORMED),
]  # fmt: skip
OLD = [pytest.param(case[1], id=case[0]) for case in CASES if case[1] is not None]
NEW = [pytest.param(case[2], case[3], id=case[0]) for case in CASES if case[2] is not None]


@pytest.mark.parametrize("data", OLD)
def test_3_1_1_closes_without_a_word(client: Client, data: bytes) -> None:
    bystander, wire = client("bystander"), client("me")
    wire.send(data)
    assert wire.expect_closed() == []
    assert bystander.waiting() == []


@pytest.mark.parametrize(("data", "reason"), NEW)
def test_5_names_the_reason(client: Client, data: bytes, reason: int) -> None:
    bystander, wire = client("bystander"), client("me", version=5)
    wire.send(data)
    (farewell,) = wire.expect_closed()
    assert (farewell.kind, farewell.body[0]) == (14, reason)
    assert bystander.waiting() == []


@pytest.mark.parametrize("version", [4, 5])
def test_what_was_sent_before_the_fault_still_counts(client: Client, version: int) -> None:
    watcher, wire = client("watcher"), client("me", version=version)
    watcher.subscribe("t")
    middle = b"\x00" if version == 5 else b""
    wire.send(packet(0x30, text("t"), middle, b"good"), b"\x00\x00", packet(0x30, text("t"), middle, b"late"))
    wire.expect_closed()
    assert [each.payload for each in watcher.messages()] == [b"good"]


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_2_2_15_a_packet_that_is_too_large_is_refused_before_it_arrives(version: int) -> None:
    with BrokerThread(limits=Limits(packet_size=1000)) as broker, Wire(broker.port, version) as wire:
        wire.connect("me")
        wire.publish("t", b"x" * 900)
        assert wire.waiting() == []
        wire.send(b"\x30\xff\xff\xff\x7f\x00\x01t")
        assert [each.body[0] for each in wire.expect_closed()] == ([0x95] if version == 5 else [])


def test_garbage_before_a_connect_is_closed_at_once(client: Client, broker: BrokerThread) -> None:
    bystander = client("bystander")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x10\xff\xff\xff\xff\xff", b"\0" * 5000):
        with Wire(broker.port) as wire:
            wire.send(garbage)
            assert wire.expect_closed() == []
    assert bystander.waiting() == []


def test_mqtt_4_3_3_an_acknowledgement_must_fit_its_message(client: Client) -> None:
    publisher = client("publisher")
    for qos, wrong in ((1, b"\x50"), (2, b"\x40"), (1, b"\x70"), (2, b"\x70")):
        wire = client("me", version=5)
        wire.subscribe(("t", qos))
        publisher.publish("t", b"x", qos=2)
        message = wire.message(answer=False)
        wire.send(wrong + b"\x02" + u16(message.packet_id))
        assert [each.body[0] for each in wire.expect_closed()] == [PROTOCOL_ERROR]


def test_more_qos_2_messages_than_the_receive_maximum() -> None:
    with BrokerThread(limits=Limits(receive_maximum=3)) as broker, Wire(broker.port, 5) as wire:
        wire.connect("me")
        for _ in range(4):
            wire.publish("t", qos=2)
        answers = wire.expect_closed()
        assert [each.kind for each in answers] == [5, 5, 5, 14]
        assert answers[-1].body[0] == 0x93
