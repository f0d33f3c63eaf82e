"""Deliveries at QoS 1 and 2 wait while too many publishes do, instead of having theirs dropped."""

from collections.abc import Callable
from typing import Any

import pytest

from flowrunner.errors import StepError
from flowrunner.run import reader, window
from flowrunner.run.packets import read_publish
from flowrunner.run.parking import Delivery, Parking
from tests.run.peer import Peer, ack, numbers, payloads, publish

PUBACK, PUBREC, PUBLISH_1, PUBLISH_2 = 0x40, 0x50, 0x32, 0x34


def echo(peer: Peer) -> Peer:
    """Let the flow publish what it gets, at QoS 1."""
    peer.flow.work = lambda _host, message, _entry: peer.link.publish("out", message.payload, 1)
    return peer


def stream(count: int, first: int = PUBLISH_1, begin: int = 0) -> bytes:
    return b"".join(publish("in", b"%d" % number, first, number + 1) for number in range(begin, begin + count))


def count_to(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def answer_all(peer: Peer) -> tuple[list[bytes], list[int]]:
    """Acknowledge publishes until there are no more; what was published, and what was acknowledged of deliveries."""
    published, acknowledged = [], []
    while heard := peer.heard():
        published += payloads(heard)
        acknowledged += [*numbers(heard, PUBACK), *numbers(heard, PUBREC)]
        found = [*numbers(heard, PUBLISH_1), *numbers(heard, PUBLISH_1 | 8)]
        if found:
            peer.say(b"".join(ack(PUBACK, number) for number in found))
    return published, acknowledged


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reader, window):
        monkeypatch.setattr(module, "CROWDED", 10)
    monkeypatch.setattr(reader, "STRIDE", 1)


@pytest.mark.parametrize("maximum", [20, 65_535])
@pytest.mark.parametrize("first", [PUBLISH_1, PUBLISH_2])
def test_more_than_the_outbox_bears_comes_of_it_and_nothing_is_dropped(first: int, maximum: int) -> None:
    peer = echo(Peer().connect(receive_maximum=maximum))
    peer.say(stream(12_000, first))
    assert len(peer.got) < 8_000
    assert peer.link.pending < 8_000
    published, acknowledged = answer_all(peer)
    assert published == count_to(12_000)
    assert acknowledged == list(range(1, 12_001))
    assert peer.failed == []


@pytest.mark.usefixtures("small")
def test_acknowledgements_behind_what_waits_are_read() -> None:
    peer = echo(Peer().connect(receive_maximum=10))
    peer.say(stream(10))
    found = numbers(peer.heard(), PUBLISH_1)
    peer.say(stream(5, begin=10) + b"".join(ack(PUBACK, number) for number in found))
    assert payloads(peer.heard()) == count_to(15)[10:]


@pytest.mark.usefixtures("small")
def test_messages_at_qos_0_do_not_wait() -> None:
    peer = Peer().connect(receive_maximum=10)
    for _ in range(10):
        peer.link.publish("out", b"x", 1)
    peer.say(stream(3) + publish("in", b"now") + stream(3, begin=3))
    assert [message.payload for message in peer.got] == [b"now"]
    answer_all(peer)
    assert [message.payload for message in peer.got] == [b"now", *count_to(6)]


@pytest.mark.usefixtures("small")
def test_a_broker_that_keeps_the_session_sends_again_what_waited() -> None:
    peer = echo(Peer().connect(receive_maximum=10))
    peer.say(stream(30))
    assert len(peer.got) < 30
    peer.lose()
    peer.connect(session=True, receive_maximum=10)
    peer.say(stream(30, PUBLISH_1 | 8))
    published, acknowledged = answer_all(peer)
    assert sorted(set(published), key=int) == count_to(30)
    assert [message.payload for message in peer.got] == count_to(30)
    assert acknowledged == list(range(1, 31))


@pytest.mark.usefixtures("small")
def test_what_a_broker_knows_nothing_of_is_handed_on_all_the_same_and_not_acknowledged() -> None:
    peer = echo(Peer().connect(receive_maximum=10))
    peer.say(stream(30))
    peer.lose()
    peer.connect(receive_maximum=10)
    peer.say(publish("other", b"0", PUBLISH_1, 7))
    _, acknowledged = answer_all(peer)
    assert [message.payload for message in peer.got] == [*count_to(30), b"0"]
    assert acknowledged == [7]
    assert {message.qos for message in peer.got[-10:-1]} == {0}


@pytest.mark.usefixtures("small")
def test_what_waits_at_the_end_stays_with_the_broker() -> None:
    peer = echo(Peer().connect(receive_maximum=10))
    peer.say(stream(30))
    got = len(peer.got)
    peer.link.stop()
    _, acknowledged = answer_all(peer)
    assert len(peer.got) == got
    assert acknowledged == list(range(1, got + 1))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("limits", [{"most_deliveries": 5}, {"most_bytes": 50}])
def test_no_more_wait_than_there_is_room_for(limits: dict[str, int]) -> None:
    """What the oldest of them publishes then may find the outbox full, which is said."""
    peer = echo(Peer().connect(receive_maximum=10))
    peer.link._reader.parking = Parking(**limits)  # type: ignore[attr-defined]
    peer.say(stream(30))
    assert len(peer.link._reader.parking) == 5  # type: ignore[attr-defined]
    assert [message.payload for message in peer.got] == count_to(25)


def test_a_full_outbox_is_still_said(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer().connect(receive_maximum=10)
    monkeypatch.setattr(peer.link._outlet.window.outbox, "_most_messages", 12)  # type: ignore[attr-defined]

    def work(_host: object, _message: Any, _entry: int) -> None:
        for _ in range(13):
            peer.link.publish("out", b"x", 1)

    peer.flow.work = work
    peer.say(stream(1))
    assert [type(error) for error in peer.failed] == [StepError]


def test_the_first_that_was_parked_is_the_first_that_is_taken() -> None:
    parking = Parking(most_deliveries=2)
    made: Callable[[bytes], Delivery] = lambda body: Delivery(0x32, read_publish(0x32, body, is_v5=False), body)  # noqa: E731
    for name in "abc":
        parking.put(made(b"\0\1" + name.encode() + b"\0\1"))
    assert parking.is_over
    assert [parking.take().packet.topic for _ in range(3)] == [b"a", b"b", b"c"]
    assert not parking
    assert not parking.is_over
