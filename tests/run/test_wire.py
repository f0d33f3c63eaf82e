from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from flowrunner.errors import StepError
from flowrunner.run import outlet, reader, wire
from flowrunner.run.link import Link
from flowrunner.run.live import LiveFlow
from flowrunner.run.outbox import MOST_LOSSES, SUSPICIOUS_LOSSES, Outbox
from flowrunner.run.packets import MOST_IN_TABLE
from flowrunner.run.wire import WireLink
from tests.run.fakes import FakeProgram, subscribe
from tests.run.peer import Peer, ack, numbers, packet, payloads, publish

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


@pytest.fixture(params=[5, 4], ids=["MQTT 5", "MQTT 3.1.1"])
def peer(request: pytest.FixtureRequest) -> Peer:
    return Peer("wire", request.param)


def made(peer: Peer, topic: str, payload: bytes = b"x", first: int = 0x30, number: int = 0) -> bytes:
    """A PUBLISH in the version of the peer, in MQTT 5 with the identifier of its subscription."""
    return publish(topic, payload, first, number, b"\x02\x0b\x01" if peer.version == 5 else b"")


def echo(peer: Peer, qos: int = 0, topic: str = "out") -> None:
    """Let the flow publish what it gets."""
    peer.flow.work = lambda _host, message, _entry: peer.link.publish(topic, message.payload, qos)


def sent(peer: Peer) -> list[bytes]:
    """Payloads that the peer was sent."""
    return payloads(peer.heard(), is_v5=peer.version == 5)


def only(found: list[int]) -> int:
    (number,) = found
    return number


def count_to(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.mark.parametrize("qos", [0, 1])
def test_what_one_read_brings_is_answered_with_one_send(peer: Peer, qos: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SLICE", inf)  # however slow this machine is: others are not waiting here
    echo(peer.connect(), qos)
    first = 0x30 | qos << 1
    peer.say(*(made(peer, "a", b"warm", first, number) for number in (1, 2)))
    peer.say(*(ack(PUBACK, number) for number in numbers(peer.heard(), 0x32)))
    peer.heard()
    sends = peer.network.sends
    peer.say(b"".join(made(peer, f"a/{number % 7}", b"%d" % number, first, number + 1) for number in range(500)))
    assert peer.network.sends == sends + 1
    heard = peer.heard()
    assert payloads(heard, is_v5=peer.version == 5) == count_to(500)
    assert numbers(heard, PUBACK) == []
    sends = peer.network.sends
    peer.say(b"".join(ack(PUBACK, number) for number in numbers(heard, 0x32)))
    if qos:
        assert peer.network.sends == sends + 1
        assert numbers(peer.heard(), PUBACK) == list(range(1, 501))
    assert [message.qos for message in peer.got] == [qos] * 502
    assert peer.live.received == 502
    assert peer.link.published == 502


def test_topics_and_payloads_arrive_as_they_are(peer: Peer) -> None:
    peer.connect()
    sizes = [0, 1, 100, 127, 128, 129, 16_370, 16_400, 200_000, 3_000_000]
    topics = ["a", "ä/öü/€", "x" * 200, "$SYS/a"]
    said = [(topic, bytes([index]) * size) for index, size in enumerate(sizes) for topic in topics for _ in range(2)]
    peer.say(b"".join(made(peer, topic, payload) for topic, payload in said))
    assert [(message.topic, message.payload) for message in peer.got] == [one for one in said if one[0] != "$SYS/a"]


def test_a_failing_message_costs_nothing_but_itself(peer: Peer) -> None:
    def work(_host: Any, message: Any, _entry: int) -> None:
        if message.payload in (b"2", b"5"):
            raise ValueError(message.payload)

    peer.connect().flow.work = work
    for first in (0x30, 0x32):
        peer.say(b"".join(made(peer, "a", b"%d" % number, first, number + 1) for number in range(7)))
    assert [str(error) for error in peer.failed] == ["b'2'", "b'5'"] * 2
    assert len(peer.got) == 14
    assert numbers(peer.heard(), PUBACK) == list(range(1, 8))


def test_every_flow_that_wants_a_message_gets_it(peer: Peer) -> None:
    others = [LiveFlow(FakeProgram(name, "a/+", "#")) for name in ("one", "two")]
    for other in others:
        other.bind(None)  # type: ignore[arg-type]
    peer.router.table = peer.table(peer.live, *others)
    peer.connect()
    for first in (0x30, 0x32):
        peer.say(b"".join(made(peer, "a/b", b"%d" % number, first, 1) for number in range(3)))
    wanted = ["a/b"] * 6
    assert peer.flow.topics == wanted
    for other in others:
        assert isinstance(other.program, FakeProgram)
        # MQTT 5: a copy with the identifier of `#` is not the one of the flows whose first filter is `a/+`
        assert other.program.topics == ([] if peer.version == 5 else wanted)


def test_after_the_time_is_up_others_have_their_turn_and_nothing_is_lost(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SLICE", 0.0)
    echo(peer.connect())
    peer.network.brings = [b"".join(made(peer, "a/b", b"%d" % number) for number in range(1000)), b""]
    turns = 0
    while not peer.is_gone:
        turns += 1
        assert peer.link.read() or peer.network.brings or peer.is_gone
        assert len(peer.got) <= turns * 200
    assert turns > 10
    assert peer.flow.payloads == count_to(1000)


def test_a_packet_that_is_not_complete_waits_for_the_rest(peer: Peer) -> None:
    peer.connect()
    large = made(peer, "a", b"0123456789" * 100_000)
    peer.say(*(large[start : start + 1000] for start in range(0, len(large), 1000)))
    peer.say(large[:1], large[1:3], large[3:] + large[:-1], large[-1:])
    assert [len(payload) for payload in peer.flow.payloads] == [1_000_000] * 3


def test_what_is_not_a_message_goes_to_paho_in_its_place(peer: Peer) -> None:
    """The table that is exchanged when SUBACK is read counts for the very next message."""
    before, after = peer.live, LiveFlow(FakeProgram("after", "#"))
    after.bind(None)  # type: ignore[arg-type]
    peer.connect()
    assert peer.client is not None
    peer.client.on_subscribe = lambda *_: setattr(peer.router, "table", peer.table(after))
    suback = b"\x90\x04\x00\x01\x00\x00" if peer.version == 5 else b"\x90\x03\x00\x01\x00"
    peer.say(made(peer, "a", b"0") + made(peer, "a", b"1") + suback + made(peer, "a", b"2") + b"\xd0\x00")
    assert (before.received, after.received) == (2, 1)


def test_routes_and_topics_that_are_remembered_are_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_CACHED", 10)
    monkeypatch.setattr(outlet, "MOST_TOPICS", 10)
    peer.flow.work = lambda _host, message, _entry: peer.link.publish(message.topic, b"")
    peer.connect()
    assert isinstance(peer.link, WireLink)
    for number in range(100):
        peer.say(made(peer, f"t/{number}") * 2)
        assert len(peer.link._reader._known) <= 10
        assert len(peer.link._outlet._topics) <= 10
    assert len(peer.got) == 200


def test_a_topic_that_is_no_utf_8_is_counted_and_acknowledged(peer: Peer) -> None:
    peer.connect()
    properties = b"\0" if peer.version == 5 else b""
    peer.say(packet(0x32, b"\0\2\xff\xfe", b"\0\7", properties, b"x") + made(peer, "a"))
    assert isinstance(peer.link, WireLink)
    assert peer.link.unreadable == 1
    assert numbers(peer.heard(), PUBACK) == [7]
    assert peer.flow.topics == ["a"]


def test_properties_and_the_retain_flag_arrive() -> None:
    peer = Peer("wire", 5).connect()
    user = b"\x26\0\1k\0\1v"
    peer.say(publish("a", b"1", properties=b"\x09" + user + b"\x0b\x01"))
    peer.say(publish("a", b"2", properties=b"\x07" + user) + publish("a", b"3") + publish("a", b"4", 0x31))
    assert [message.properties for message in peer.got] == [{"user": {"k": "v"}}] * 2 + [{}] * 2
    assert [message.retain for message in peer.got] == [False, False, False, True]


def test_when_stopped_nothing_is_delivered_nor_acknowledged(peer: Peer) -> None:
    peer.connect()
    peer.link.publish("a", b"mine", 1)
    peer.say(made(peer, "a", b"0", 0x32, 1))
    (mine,) = numbers(peer.heard(), 0x32)
    peer.link.stop()
    for first in (0x30, 0x32, 0x34):
        peer.say(made(peer, "a", b"1", first, 2))
    peer.say(ack(PUBACK, mine))
    assert peer.flow.payloads == [b"0"]
    assert peer.heard() == []
    assert peer.link.pending == 0


# --- QoS 1 and 2 out


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("size", [1, MOST_IN_TABLE + 1])
def test_publishes_are_in_flight_until_they_are_acknowledged(peer: Peer, qos: int, size: int) -> None:
    peer.connect()
    for _ in range(3):
        for _ in range(2):
            peer.link.publish("a", b"x" * size, qos)
        heard = peer.heard()
        found = numbers(heard, 0x30 | qos << 1)
        assert len(set(found)) == len(found) == peer.link.pending == 2
        assert payloads(heard, is_v5=peer.version == 5) == [b"x" * size] * 2
        for number in found:
            assert number >= 0x8000
            if qos == 2:
                peer.say(ack(PUBREC, number))
                assert peer.heard() == [(PUBREL, number.to_bytes(2, "big"))]
                peer.say(ack(PUBCOMP, number))
            else:
                peer.say(ack(PUBACK, number))
        assert peer.link.pending == 0
    assert peer.link.published == 6


def test_no_more_is_in_flight_than_the_broker_bears(peer: Peer) -> None:
    peer.connect(receive_maximum=3)
    for payload in count_to(20):
        peer.link.publish("a", payload, 1 if payload < b"5" else 2)
    got: list[bytes] = []
    while peer.link.pending:
        heard = [found for found in peer.heard() if found[0] != PUBREL]
        assert len(heard) <= 3
        got += payloads(heard, is_v5=peer.version == 5)
        for number in numbers(heard, 0x32):
            peer.say(ack(PUBACK, number))
        for number in numbers(heard, 0x34):
            peer.say(ack(PUBREC, number), ack(PUBCOMP, number))
    assert got == count_to(20)


def test_while_the_window_is_full_reading_goes_on(peer: Peer) -> None:
    echo(peer.connect(receive_maximum=1), qos=1)
    peer.say(b"".join(made(peer, "a", payload) for payload in count_to(50)))
    assert len(peer.got) == 50
    got = []
    while found := peer.heard():
        got += payloads(found, is_v5=peer.version == 5)
        peer.say(ack(PUBACK, only(numbers(found, 0x32))))
    assert got == count_to(50)


@pytest.mark.parametrize("maximum", [65_535, 4])
def test_with_the_session_kept_what_was_in_flight_is_sent_again_with_dup(peer: Peer, maximum: int) -> None:
    peer.connect()
    for payload in count_to(10):
        peer.link.publish("a", payload, 1)
    found = numbers(peer.heard(), 0x32)
    peer.say(ack(PUBACK, found[0]))
    peer.lose()
    peer.link.publish("a", b"later", 1)
    peer.connect(session=True, receive_maximum=maximum)
    peer.link.publish("a", b"last", 1)
    again: list[tuple[int, bytes]] = []
    while peer.link.pending:
        heard = peer.heard()
        assert 0 < len(heard) <= maximum
        again += heard
        for number in [*numbers(heard, 0x3A), *numbers(heard, 0x32)]:
            peer.say(ack(PUBACK, number))
    assert numbers(again, 0x3A) == found[1:]
    assert payloads(again, is_v5=peer.version == 5) == [*count_to(10)[1:], b"later", b"last"]
    assert [first for first, _ in again] == [0x3A] * 9 + [0x32] * 2


def test_without_the_session_what_was_in_flight_is_published_anew(peer: Peer) -> None:
    peer.connect()
    for payload in count_to(5):
        peer.link.publish("a", payload, 2 if payload == b"2" else 1)
    heard = peer.heard()
    peer.say(ack(PUBREC, only(numbers(heard, 0x34))))
    peer.lose()
    peer.connect()
    again = peer.heard()
    assert payloads(again, is_v5=peer.version == 5) == count_to(5)
    assert {first for first, _ in again} == {0x32, 0x34}
    assert peer.link.published == 5


def test_at_qos_2_it_goes_on_where_it_was(peer: Peer) -> None:
    peer.connect()
    for payload in count_to(3):
        peer.link.publish("a", payload, 2)
    first, second, third = numbers(peer.heard(), 0x34)
    peer.say(ack(PUBREC, first), ack(PUBREC, second))
    peer.say(ack(PUBCOMP, first))
    peer.lose()
    peer.connect(session=True)
    again = peer.heard()
    assert numbers(again, PUBREL) == [second]
    assert numbers(again, 0x3C) == [third]
    peer.say(ack(PUBCOMP, second), ack(PUBREC, third), ack(PUBCOMP, third))
    assert peer.link.pending == 0


def test_new_publishes_wait_until_what_was_in_flight_is_on_its_way(peer: Peer) -> None:
    peer.connect()
    peer.link.publish("a", b"old", 1)
    peer.heard()
    peer.lose()
    release: Callable[[], None] = peer.link.release
    peer.link.release = lambda: None  # type: ignore[method-assign]
    peer.connect(session=True)
    peer.link.publish("a", b"new", 1)
    assert peer.heard() == []
    release()
    assert sent(peer) == [b"old", b"new"]


def test_a_publish_that_the_broker_refuses_is_told() -> None:
    peer = Peer("wire", 5).connect()
    for qos in (1, 2):
        peer.link.publish(f"secret/{qos}", b"x", qos)
    heard = peer.heard()
    peer.say(ack(PUBACK, only(numbers(heard, 0x32)), b"\x87"))
    peer.say(ack(PUBREC, only(numbers(heard, 0x34)), b"\x97\0"))
    assert peer.lost == [("secret/1", "not authorized"), ("secret/2", "quota exceeded")]
    assert peer.link.pending == 0
    assert peer.heard() == []


def test_acknowledgements_that_nobody_waits_for_are_nothing(peer: Peer) -> None:
    peer.connect()
    peer.say(*(ack(kind, 0x9000) for kind in (PUBACK, PUBREC, PUBCOMP)))
    assert numbers(peer.heard(), PUBREL) == [0x9000]
    assert not peer.is_gone


def test_publishes_wait_for_a_broker_up_to_a_bound(peer: Peer) -> None:
    small = Peer("wire", 5, outbox=Outbox(most_messages=2))
    small.link.publish("a", b"")
    small.link.publish("a", b"", 1)
    small.link.publish("a", b"", 2)
    assert (small.link.dropped, small.link.pending) == (1, 2)
    with pytest.raises(StepError, match="2 publishes wait for the broker already: there is no room for more"):
        small.link.publish("a", b"", 1)
    with pytest.raises(StepError, match="wildcard"):
        small.link.publish("a/+", b"")


def test_the_message_that_breaks_every_connection_is_found_and_given_up(peer: Peer) -> None:
    for payload in (b"fine", b"evil", b"also fine"):
        peer.link.publish("t", payload, 1)
    for _ in range(2):  # a broker that acknowledges one message before it breaks is not suspicious
        peer.connect()
        peer.say(ack(PUBACK, numbers(peer.heard(), 0x32)[0]))
        peer.lose(is_early=True)
        peer.link.publish("t", b"evil", 1)
    while peer.link.pending > 1:
        peer.connect()
        peer.heard()
        peer.lose(is_early=True)
        assert len(peer.lost) <= 4
    assert SUSPICIOUS_LOSSES + MOST_LOSSES > 4
    assert {topic for topic, _ in peer.lost} == {"t"}
    assert "the broker closes the connection whenever it is sent" in peer.lost[0][1]


def test_with_a_kept_session_too_suspicious_messages_go_one_at_a_time(peer: Peer) -> None:
    peer.connect()
    for payload in count_to(3):
        peer.link.publish("t", payload, 1)
    sizes = []
    for _ in range(SUSPICIOUS_LOSSES + MOST_LOSSES):
        sizes.append(len(peer.heard()))
        peer.lose(is_early=True)
        peer.connect(session=True)
    assert sizes == [3] * SUSPICIOUS_LOSSES + [1] * MOST_LOSSES
    assert peer.link.pending == 2
    assert sent(peer) == [b"1", b"2"]


@pytest.mark.parametrize("count", [reader.ROW - 1, reader.ROW, reader.ROW + 1, 5 * reader.ROW + 7])
@pytest.mark.parametrize("size", [4, 7, 1 << 20])
def test_acknowledgements_in_a_row_count_one_by_one(peer: Peer, count: int, size: int) -> None:
    peer.connect()
    done: list[int] = []
    for number in range(count):
        if number % 3:
            peer.link.publish("a", b"x", 1)
        else:
            peer.link.promise("a", b"x", 1, False, {}, lambda number=number: done.append(number))  # type: ignore[misc]
    found = numbers(peer.heard(), 0x32)
    said = [ack(PUBACK, number) for number in found]
    said.insert(count // 2, ack(PUBACK, 0x7000))  # nobody waits for that one
    stream = b"".join(said[:-1])
    peer.say(*(stream[place : place + size] for place in range(0, len(stream), size)), made(peer, "a"))
    assert peer.link.pending == 1
    peer.say(said[-1])
    assert peer.link.pending == 0
    assert done == list(range(0, count, 3))
    assert len(peer.got) == 1


@pytest.mark.parametrize("size", [1, MOST_IN_TABLE + 1])
@pytest.mark.parametrize("session", [False, True])
def test_who_was_promised_an_acknowledgement_is_told_once_whatever_comes_between(
    peer: Peer, session: bool, size: int
) -> None:
    peer.connect()
    done: list[int] = []
    for number in range(5):
        peer.link.promise("a", b"x" * size, 1, False, {}, lambda number=number: done.append(number))  # type: ignore[misc]
    found = numbers(peer.heard(), 0x32)
    peer.say(ack(PUBACK, found[1]))
    assert done == [1]
    peer.lose()
    assert done == [1]
    peer.connect(session=session)
    heard = peer.heard()
    for number in [*numbers(heard, 0x3A), *numbers(heard, 0x32)]:
        peer.say(ack(PUBACK, number) * 2)
    assert done == [1, 0, 2, 3, 4]


def test_of_a_window_of_one_everyone_is_told(peer: Peer) -> None:
    peer.connect(receive_maximum=1)
    done: list[int] = []
    for number in range(5):
        peer.link.promise("a", b"x", 1, False, {}, lambda number=number: done.append(number))  # type: ignore[misc]
    for number in range(5):
        assert done == list(range(number))
        peer.say(ack(PUBACK, only(numbers(peer.heard(), 0x32))))
    assert done == list(range(5))


# --- QoS 1 and 2 in


def test_a_delivery_that_is_held_holds_back_the_acknowledgements_behind_it(peer: Peer) -> None:
    holds: dict[bytes, Any] = {}

    def work(_host: Any, message: Any, _entry: int) -> None:
        if message.payload in (b"1", b"3"):
            holds[message.payload] = peer.link.hold()
            holds[message.payload].hold()

    peer.connect().flow.work = work
    peer.say(b"".join(made(peer, "a", b"%d" % number, 0x32, number) for number in range(6)))
    assert numbers(peer.heard(), PUBACK) == [0]
    for payload, expected in ((b"3", []), (b"1", []), (b"3", []), (b"1", [1, 2, 3, 4, 5])):
        holds[payload].release()
        assert numbers(peer.heard(), PUBACK) == expected
    peer.say(made(peer, "a", b"6", 0x32, 6))
    assert numbers(peer.heard(), PUBACK) == [6]


@pytest.mark.parametrize(("first", "answer"), [(0x32, PUBACK), (0x34, PUBREC)])
def test_what_was_held_when_the_link_broke_is_acknowledged_when_it_comes_again(
    peer: Peer, first: int, answer: int
) -> None:
    holds = []
    peer.connect().flow.work = lambda *_: holds.append(peer.link.hold())
    peer.say(made(peer, "a", b"1", first, 1), made(peer, "a", b"2", first, 2))
    peer.lose()
    holds[1].release()
    peer.connect(session=True)
    assert peer.heard() == []
    peer.say(made(peer, "a", b"1", first | 8, 1), made(peer, "a", b"2", first | 8, 2))
    assert peer.heard() == []
    holds[0].release()
    assert numbers(peer.heard(), answer) == [1, 2]
    assert peer.flow.payloads == [b"1", b"2"]


def test_what_comes_again_and_is_held_still_holds_back_what_comes_behind_it(peer: Peer) -> None:
    holds = []
    peer.connect().flow.work = lambda *_: holds.append(peer.link.hold())
    peer.say(made(peer, "a", b"1", 0x34, 1))
    peer.lose()
    peer.connect(session=True)
    peer.flow.work = None
    peer.say(made(peer, "a", b"1", 0x3C, 1) + made(peer, "a", b"2", 0x32, 2) + made(peer, "a", b"3", 0x32, 3))
    assert peer.heard() == []
    holds[0].release()
    assert [first for first, _ in peer.heard()] == [PUBREC, PUBACK, PUBACK]
    peer.say(made(peer, "a", b"4", 0x32, 4))
    assert numbers(peer.heard(), PUBACK) == [4]


def test_what_was_held_for_a_session_that_is_lost_is_never_acknowledged(peer: Peer) -> None:
    holds = []
    peer.connect().flow.work = lambda *_: holds.append(peer.link.hold())
    peer.say(made(peer, "a", b"1", 0x32, 1), made(peer, "a", b"2", 0x34, 2))
    peer.lose()
    peer.connect()
    peer.flow.work = None
    peer.say(made(peer, "a", b"3", 0x32, 1), made(peer, "a", b"4", 0x34, 2))
    assert [first for first, _ in peer.heard()] == [PUBACK, PUBREC]
    for hold in holds:
        hold.release()
    assert peer.heard() == []
    assert peer.flow.payloads == [b"1", b"2", b"3", b"4"]


def test_at_qos_2_a_delivery_is_handed_on_once(peer: Peer) -> None:
    peer.connect()
    peer.say(made(peer, "a", b"1", 0x34, 7))
    assert numbers(peer.heard(), PUBREC) == [7]
    peer.lose()
    peer.connect(session=True)
    peer.say(made(peer, "a", b"1", 0x3C, 7))
    assert numbers(peer.heard(), PUBREC) == [7]
    for _ in range(2):
        peer.say(ack(PUBREL, 7))
        assert numbers(peer.heard(), PUBCOMP) == [7]
    assert peer.flow.payloads == [b"1"]
    peer.say(made(peer, "a", b"2", 0x34, 7))
    assert peer.flow.payloads == [b"1", b"2"]


# --- what makes the short way the long one


def watched(peer: Peer) -> list[bytes]:
    seen: list[bytes] = []
    peer.link.watch = lambda _topic, payload, _qos, _retain: seen.append(payload)
    return seen


def test_whoever_watches_sees_every_publish_and_none_afterwards(peer: Peer) -> None:
    peer.connect()
    for qos in (0, 1):
        peer.link.publish("a", b"before", qos)
        seen = watched(peer)
        for payload in (b"1", b"2"):
            peer.link.publish("a", payload, qos)
        peer.link.watch = None
        peer.link.publish("a", b"after", qos)
        assert seen == [b"1", b"2"]
    assert sent(peer) == [b"before", b"1", b"2", b"after"] * 2
    assert peer.link.published == 8


@pytest.mark.parametrize("qos", [0, 1])
def test_a_publish_that_is_too_large_is_refused_however_often_it_is_tried(qos: int) -> None:
    peer = Peer("wire", 5).connect(maximum_packet=60)
    peer.link.publish("a", b"x" * 40, qos)
    for _ in range(2):
        with pytest.raises(StepError, match=r"the message is larger \(\d\d bytes\) than the broker accepts"):
            peer.link.publish("a", b"x" * 60, qos)
    for size in range(70):
        try:
            peer.link.publish("a", b"x" * size, qos)
        except StepError:
            continue
    assert max(len(body) + 2 for _, body in peer.heard()) == 60


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
def test_a_publish_is_sent_as_far_as_the_broker_takes_it(peer: Peer, qos: int, retain: bool) -> None:
    peer.connect(maximum_qos=1, has_retain=False)
    for _ in range(2):
        peer.link.publish("a", b"x", qos, retain, {"user": {"k": "v"}})
    expected = min(qos, 1)
    assert [first for first, _ in peer.heard()] == [0x30 | expected << 1] * 2


def test_a_broker_that_takes_qos_0_only_gets_everything_at_qos_0(peer: Peer) -> None:
    peer.connect(maximum_qos=0)
    for qos in (0, 1, 2, 1):
        peer.link.publish("a", b"%d" % qos, qos)
    assert [first for first, _ in peer.heard()] == [0x30] * 4
    assert peer.link.pending == 0


def test_a_network_that_does_not_keep_up_costs_publishes_at_qos_0_and_not_the_memory(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MUCH_UNSENT", 5_000)
    monkeypatch.setattr(wire, "MOST_UNSENT", 10_000)
    peer.connect()
    peer.network.room = 1_000
    link: Link = peer.link
    for number in range(100):
        link.publish("a", b"%03d" % number + b"x" * 500)
        assert link.write() == (number > 0)
        assert link.has_room == (number < 11)
    assert 75 < link.dropped < 82
    assert {reason for _, reason in peer.lost} == {"the network does not keep up"}
    peer.network.room = 1 << 40
    assert not link.write()
    assert link.has_room
    link.publish("a", b"again")
    arrived = sent(peer)
    assert len(arrived) == 100 - link.dropped + 1
    assert arrived[-1] == b"again"
    assert [payload[:3] for payload in arrived[:-1]] == [b"%03d" % number for number in range(len(arrived) - 1)]


def test_it_asks_to_be_written_once_for_all_publishes(peer: Peer) -> None:
    peer.connect()
    wakes = peer.wakes
    for _ in range(10):
        peer.link.publish("a", b"x")
    assert peer.wakes == wakes + 1
    peer.heard()
    peer.link.publish("a", b"x", 1)
    assert peer.wakes == wakes + 2


def test_the_end_of_the_network_reaches_paho_after_what_came_before(peer: Peer) -> None:
    for end in (b"", ConnectionResetError("gone")):
        peer.connect()
        peer.say(made(peer, "a") + made(peer, "a")[:3], end)
        assert peer.is_gone
        peer.lose()
    assert len(peer.got) == 2


def test_a_length_of_five_bytes_ends_the_connection(peer: Peer) -> None:
    peer.connect()
    peer.say(made(peer, "a") + b"\x30\xff\xff\xff\xff\xff\x01" + made(peer, "a"))
    assert peer.is_gone
    assert len(peer.got) == 1


@pytest.mark.parametrize("kind", ["wire", "plain"])
def test_a_length_of_five_bytes_ends_the_connection_wherever_a_read_ends(kind: str) -> None:
    for cut in range(1, 6):
        peer = Peer(kind, 5).connect()
        data = b"\x30\xff\xff\xff\xff" + publish("a")
        peer.say(data[:cut], data[cut:])
        assert peer.is_gone
        assert peer.got == []


def test_subscriptions_are_not_disturbed() -> None:
    peer = Peer("wire", 5, subscribe("a/#"), subscribe("b/#")).connect()
    peer.say(publish("b/1", properties=b"\x02\x0b\x02") * 2 + publish("b/1", properties=b"\x02\x0b\x01") * 2)
    assert peer.flow.entries == [1, 1]
