"""SUBSCRIBE and UNSUBSCRIBE with all their options: MQTT 5.0 sections 3.8 to 3.11 and 4.8."""

from collections import Counter
from itertools import chain

import pytest

from flowrunner.broker import BrokerThread, Limits
from tests.broker.conftest import Client
from tests.broker.wire import PUBLISH, SUBACK, Wire, number, read_properties, u16, u32

NO_LOCAL, AS_PUBLISHED = 4, 8
SEND_IF_NEW, NEVER_SEND = 0x10, 0x20


def identifier(value: int) -> bytes:
    return b"\x0b" + number(value)


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_8_4_6_each_filter_gets_its_answer(client: Client, version: int) -> None:
    wire = client("me", version=version)
    invalid = b"\x8f" if version == 5 else b"\x80"
    assert (
        wire.subscribe(("a", 0), ("b/#/c", 1), ("c", 1), ("", 0), ("d", 2))
        == b"\x00" + invalid + b"\x01" + invalid + b"\x02"
    )


def test_the_reason_of_a_refusal_is_told(client: Client) -> None:
    wire = client("me", version=5)
    wire.send_subscribe(["a+"])
    answer = wire.expect(SUBACK)
    assert read_properties(answer.body, 2)[0] == {31: ["`+` must stand for a whole level of a topic filter"]}


def test_mqtt_3_10_4_unsubscribing_ends_the_subscription(client: Client) -> None:
    old, new, sender = client("old"), client("new", version=5), client("sender")
    for wire in (old, new):
        wire.subscribe("a", "b")
    assert old.unsubscribe("a", "never") == b""
    assert new.unsubscribe("a", "never") == b"\x00\x11"
    for topic in "ab":
        sender.publish(topic)
    sender.waiting()
    for wire in (old, new):
        assert [each.topic for each in wire.messages()] == ["b"]


def test_mqtt_3_8_4_3_subscribing_again_replaces_and_sends_retained_again(client: Client) -> None:
    wire, sender = client("me"), client("sender")
    sender.publish("t", b"kept", retain=True, qos=1)
    sender.waiting()
    wire.subscribe(("t", 0))
    wire.subscribe(("t", 1))
    sender.publish("t", b"live", qos=2)
    sender.waiting()
    assert [(each.payload, each.qos) for each in wire.messages()] == [(b"kept", 0), (b"kept", 1), (b"live", 1)]


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_3_3_4_2_overlapping_filters_bring_one_copy_with_the_highest_qos(client: Client, version: int) -> None:
    wire, sender = client("me", version=version), client("sender")
    wire.subscribe(("a/#", 0), ("a/+", 2), ("a/b", 1))
    sender.publish("a/b", qos=2)
    sender.waiting()
    assert [each.qos for each in wire.messages()] == [2]


def test_mqtt_3_3_4_4_that_copy_has_all_identifiers(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    wire.subscribe("a/#", extra=identifier(300))
    wire.subscribe("a/+", extra=identifier(7))
    wire.subscribe("a/b")
    wire.subscribe("+/c", extra=identifier(268_435_455))
    for topic in ("a/b", "a/c", "a/c/d", "x/c"):
        sender.publish(topic)
    sender.waiting()
    assert [each.properties for each in wire.messages()] == [
        {11: [7, 300]},
        {11: [7, 300, 268_435_455]},
        {11: [300]},
        {11: [268_435_455]},
    ]


def test_retained_messages_carry_the_identifier(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    sender.publish("t", b"kept", retain=True)
    sender.waiting()
    wire.subscribe("t", extra=identifier(9))
    assert wire.message().properties == {11: [9]}


def test_mqtt_3_8_3_3_no_local_keeps_ones_own_messages_away(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    wire.subscribe(("t", 1 | NO_LOCAL))
    assert wire.publish("t", b"mine", qos=1)
    sender.publish("t", b"theirs", qos=1)
    sender.waiting()
    assert [each.payload for each in wire.messages()] == [b"theirs"]


def test_no_local_concerns_its_own_subscription_only(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    wire.subscribe(("a/#", 2 | NO_LOCAL), extra=identifier(1))
    wire.subscribe(("a/b", 1), extra=identifier(2))
    for each in (wire, sender):
        each.publish("a/b", qos=2)
    sender.waiting()
    found = wire.messages()
    assert Counter((each.qos, tuple(each.properties[11])) for each in found) == {(1, (2,)): 1, (2, (1, 2)): 1}


def test_no_local_concerns_retained_messages_too(client: Client) -> None:
    wire = client("me", version=5)
    wire.publish("t", b"mine", retain=True)
    wire.subscribe(("t", NO_LOCAL))
    assert wire.messages() == []
    wire.subscribe(("t", 0))
    assert wire.message().payload == b"mine"


@pytest.mark.parametrize(("options", "expected"), [(0, False), (AS_PUBLISHED, True)])
def test_mqtt_3_3_1_12_retain_as_published(client: Client, options: int, expected: bool) -> None:
    wire, sender = client("me", version=5), client("sender")
    wire.subscribe(("t", options))
    for is_retained in (True, False):
        sender.publish("t", b"x", retain=is_retained)
    sender.waiting()
    assert [each.retain for each in wire.messages()] == [expected, False]


def test_mqtt_3_3_1_9_retain_handling(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    sender.publish("t", b"kept", retain=True)
    sender.waiting()
    for options, expected in (
        (NEVER_SEND, 0),
        (SEND_IF_NEW, 0),
        (0, 1),
        (SEND_IF_NEW, 0),
    ):
        wire.subscribe(("t", options))
        assert len(wire.messages()) == expected
    wire.unsubscribe("t")
    wire.subscribe(("t", SEND_IF_NEW))
    assert len(wire.messages()) == 1


def test_mqtt_4_8_2_a_group_shares_what_comes(client: Client) -> None:
    members = [client(f"m{index}", version=5) for index in range(3)]
    sender, other = client("sender"), client("other")
    for member in members:
        member.subscribe(("$share/team/jobs/+", 1))
    other.subscribe("jobs/#")
    for index in range(9):
        sender.publish("jobs/x", b"%d" % index, qos=1)
    sender.waiting()
    found = [[each.payload for each in member.messages()] for member in members]
    assert [len(each) for each in found] == [3, 3, 3]
    assert sorted(chain.from_iterable(found)) == [b"%d" % index for index in range(9)]
    assert len(other.messages()) == 9


def test_each_group_gets_every_message(client: Client) -> None:
    sender = client("sender")
    groups = [client(name) for name in ("one", "two")]
    for name, wire in zip(("one", "two"), groups, strict=True):
        wire.subscribe(f"$share/{name}/t")
    sender.publish("t")
    sender.waiting()
    assert [len(wire.messages()) for wire in groups] == [1, 1]


def test_who_shares_and_subscribes_gets_both(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    wire.subscribe("$share/g/t", extra=identifier(1))
    wire.subscribe("t", extra=identifier(2))
    sender.publish("t")
    sender.waiting()
    assert sorted(each.properties[11] for each in wire.messages()) == [[1], [2]]


def test_mqtt_4_8_2_a_shared_subscription_gets_nothing_retained(client: Client) -> None:
    wire, sender = client("me", version=5), client("sender")
    sender.publish("t", b"kept", retain=True)
    sender.waiting()
    wire.subscribe("$share/g/t")
    assert wire.messages() == []


def test_a_group_prefers_members_that_are_there(client: Client) -> None:
    client("away", clean=False).subscribe(("$share/g/t", 1))
    here, sender = client("here"), client("sender")
    here.subscribe(("$share/g/t", 1))
    client("away", clean=False).disconnect()
    for _ in range(4):
        sender.publish("t", qos=1)
    sender.waiting()
    assert len(here.messages()) == 4


def test_a_group_of_members_that_are_away_keeps_messages(client: Client) -> None:
    away, sender = client("away", clean=False), client("sender")
    away.subscribe(("$share/g/t", 1))
    away.disconnect()
    sender.publish("t", b"kept", qos=1)
    sender.waiting()
    assert [each.payload for each in client("away", clean=False).messages()] == [b"kept"]


def test_leaving_a_group(client: Client) -> None:
    one, two, sender = client("one", version=5), client("two"), client("sender")
    for wire in (one, two):
        wire.subscribe("$share/g/t")
    assert one.unsubscribe("$share/g/t") == b"\x00"
    two.disconnect()
    sender.publish("t", qos=1)
    sender.waiting()
    assert one.messages() == []


@pytest.mark.parametrize("name", ["$share/g", "$share//t", "$share/g/", "$share/+/t", "$share/g/a#"])
def test_mqtt_4_8_2_malformed_groups_are_refused(client: Client, name: str) -> None:
    assert client("me", version=5).subscribe(name) == b"\x8f"


def test_too_many_subscriptions_and_too_many_levels() -> None:
    with BrokerThread(limits=Limits(subscriptions=2, topic_levels=3)) as broker, Wire(broker.port, 5) as wire:
        wire.connect("me")
        assert wire.subscribe("a", "b", "c", "a", "1/2/3/4") == b"\x00\x00\x97\x00\x8f"
        wire.publish("1/2/3")
        assert wire.waiting() == []
        wire.publish("1/2/3/4")
        assert [each.body[0] for each in wire.expect_closed()] == [0x90]


def test_subscriptions_of_others_do_not_cost_anything(client: Client) -> None:
    """10 000 filters beside it, and the trie still looks at a handful of branches."""
    crowd, sender = client("crowd"), client("sender")
    for start in range(0, 10_000, 1000):
        crowd.subscribe(*(f"crowd/{index}/+" for index in range(start, start + 1000)))
    crowd.subscribe("crowd/77/state", "#")
    sender.publish("crowd/77/state")
    sender.waiting()
    assert len(crowd.messages()) == 1


def test_many_retained_messages_arrive_whole(client: Client) -> None:
    """More than the socket takes at once: they wait in line, and what comes meanwhile comes after them."""
    sender, receiver = client("sender"), client("receiver", version=5, extra=b"\x21" + u16(10))
    payload = b"x" * 5000
    for index in range(4000):
        sender.publish(f"kept/{index}", payload, retain=True)
    sender.waiting()
    receiver.subscribe("kept/#")
    found = {receiver.take_apart(receiver.expect(PUBLISH)).topic for _ in range(4000)}
    assert len(found) == 4000


def test_a_filter_of_dollar_topics(client: Client) -> None:
    all_topics, own, sender = client("all"), client("own"), client("sender")
    all_topics.subscribe("#", "+/b")
    own.subscribe("$a/#")
    sender.publish("$a/b")
    sender.waiting()
    assert all_topics.messages() == []
    assert [each.topic for each in own.messages()] == ["$a/b"]


def test_identifiers_last_with_the_session(client: Client) -> None:
    lasting = b"\x11" + u32(60)
    client("me", version=5, extra=lasting).subscribe(("t", 1), extra=identifier(5))
    client("me", version=5, clean=False, extra=lasting).disconnect()
    sender = client("sender")
    sender.publish("t", qos=1)
    sender.waiting()
    (message,) = client("me", version=5, clean=False, extra=lasting).messages()
    assert message.properties[11] == [5]


def test_a_subscribe_with_a_filter_of_many_bytes(client: Client) -> None:
    wire = client("me", version=5)
    name = "é" * 30_000
    assert wire.subscribe(name) == b"\x00"
    wire.publish(name, b"x")
    assert wire.message().topic == name
    assert wire.subscribe("x" * 65_535) == b"\x00"
