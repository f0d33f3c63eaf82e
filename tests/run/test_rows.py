"""Deliveries at QoS 1 in rows: acknowledged when, and in the order in which, they are without rows.

A broker that acknowledges our publishes in another order than they came in breaks the standard (MQTT 5.0 section 4.6).
With it a row may wait for more: for what came of deliveries at QoS 0 in between, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.errors import StepError
from flowrunner.run import outbox, reader
from flowrunner.run.inbound import Inbound
from flowrunner.run.live import LiveFlow
from flowrunner.run.outbox import Outbox
from flowrunner.run.promises import Promises
from tests.flow_host import read
from tests.run.peer import Peer, ack, numbers, payloads, publish

PUBACK, PUBLISH_1 = 0x40, 0x32


@dataclass
class Conversation:
    """A broker and a flow that publishes as often as a message says, and what the broker knows."""

    peer: Peer
    window: int
    next_number: int = 1
    unheard: list[int] = field(default_factory=list)  # publishes of ours that the broker has not acknowledged
    acknowledged: list[int] = field(default_factory=list)
    history: list[tuple[int, ...]] = field(default_factory=list)

    def deliver(self, kinds: list[tuple[int, int]]) -> None:
        """Messages (QoS, and how many publishes come of it) in one read."""
        found = []
        for qos, count in kinds:
            found.append(publish("in", b"%d" % count, 0x30 | qos << 1, self.next_number))
            self.next_number += qos
        self.hear(b"".join(found))

    def acknowledge(self, count: int, *, is_backwards: bool) -> None:
        """The broker acknowledges some of what it has."""
        chosen = self.unheard[-count:][::-1] if is_backwards else self.unheard[:count]
        self.unheard = [number for number in self.unheard if number not in chosen]
        self.hear(b"".join(ack(PUBACK, number) for number in chosen))

    def break_off(self) -> None:
        """The network connection breaks, and the next one goes on with the session."""
        self.peer.lose()
        self.unheard.clear()
        self.peer.connect(session=True, receive_maximum=self.window)
        sent = [number for number in range(1, self.next_number) if number not in self.acknowledged]
        self.hear(b"".join(publish("in", b"0", PUBLISH_1 | 8, number) for number in sent))

    def hear(self, data: bytes) -> None:
        """Let the flow work, and note what the broker hears."""
        self.peer.say(*([data] if data else []))
        assert not self.peer.is_gone
        heard = self.peer.heard()
        self.unheard += [*numbers(heard, PUBLISH_1), *numbers(heard, PUBLISH_1 | 8)]
        self.acknowledged += numbers(heard, PUBACK)
        self.history.append(tuple(self.acknowledged))


def conversation(window: int, *, most: int = outbox.MOST_MESSAGES) -> Conversation:
    peer = Peer("wire", 5, outbox=Outbox(most_messages=most))

    def work(_host: object, message: object, _entry: int) -> None:
        for _ in range(int(message.payload)):  # type: ignore[attr-defined]
            peer.link.publish("out", b"x", 1)

    peer.flow.work = work
    peer.connect(session=True, receive_maximum=window)
    return Conversation(peer, window)


@contextmanager
def no_rows() -> Iterator[None]:
    with patch.object(Inbound, "row", lambda _: None):
        yield


EVENTS = st.one_of(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from((0, 1, 1, 2))), min_size=1, max_size=12),
    st.tuples(st.integers(1, 12), st.booleans()),
    st.just("broken"),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from((1, 2, 5, 1_000)), st.lists(EVENTS, max_size=12))
@example(1_000, [[(0, 1), (0, 2), (0, 2), (0, 2)], [(1, 1)], (1, True)])
@example(1_000, [[(1, 1), (1, 2), (1, 0), (1, 2)], [(1, 1)], (1, True), (2, False), (2, True)])
def test_rows_are_acknowledged_when_single_deliveries_are(window: int, events: list[object]) -> None:
    with patch.object(reader, "SLICE", 1e9):
        with no_rows():
            expected = play(window, events)
        found = play(window, events)
    for by_row, singly in zip(found.history, expected.history, strict=True):
        assert by_row == singly[: len(by_row)]
    if all(is_in_order(event) for event in events) or all(is_reliable(event) for event in events):
        assert found.history == expected.history
    assert found.unheard == expected.unheard == []
    assert found.acknowledged == list(dict.fromkeys(found.acknowledged)) == list(range(1, found.next_number))


def is_in_order(event: object) -> bool:
    """Whether nothing is acknowledged before what came earlier."""
    return not (isinstance(event, tuple) and event[1])


def is_reliable(event: object) -> bool:
    """Whether nothing comes of deliveries at QoS 0."""
    return not isinstance(event, list) or all(qos or not count for qos, count in event)


def play(window: int, events: list[object]) -> Conversation:
    talk = conversation(window)
    talk.deliver([(1, 1)])
    for event in events:
        if isinstance(event, list):
            talk.deliver(event)
        elif isinstance(event, tuple):
            talk.acknowledge(event[0], is_backwards=event[1])
        else:
            talk.break_off()
    while talk.unheard:
        talk.acknowledge(7, is_backwards=False)
    return talk


def test_nothing_is_acknowledged_before_the_broker_has_what_came_of_it() -> None:
    talk = conversation(1_000)
    talk.deliver([(1, 1)] * 3 + [(1, 0)] + [(1, 2)] * 2 + [(0, 1)] + [(1, 1)])
    assert talk.acknowledged == []
    first, *others = talk.unheard
    talk.unheard = others
    talk.acknowledge(len(others), is_backwards=True)
    assert talk.acknowledged == []
    talk.hear(ack(PUBACK, first))
    assert talk.acknowledged == [1, 2, 3, 4, 5, 6, 7]


def test_long_rows_of_acknowledgements_are_as_good_as_single_ones() -> None:
    talk = conversation(1_000)
    talk.deliver([(1, 1)] * 2)
    talk.deliver([(1, 1)] * 500)
    talk.acknowledge(401, is_backwards=False)
    assert talk.acknowledged == list(range(1, 402))
    talk.hear(b"".join(ack(PUBACK, number) for number in range(9, 200)))  # which nobody has sent
    talk.acknowledge(200, is_backwards=False)
    assert talk.acknowledged == list(range(1, 503))


def test_a_row_that_holds_some_that_are_unknown_takes_the_others() -> None:
    talk = conversation(1_000)
    talk.deliver([(1, 1)] * 200)
    mixed = [number for pair in zip(talk.unheard, range(9, 209), strict=True) for number in pair]
    talk.unheard.clear()
    talk.hear(b"".join(ack(PUBACK, number) for number in mixed))
    assert talk.acknowledged == list(range(1, 201))
    assert talk.peer.link.pending == 0


def test_what_others_publish_holds_back_nothing_that_came_before_it() -> None:
    talk = conversation(1_000)
    talk.deliver([(1, 1)] * 3)
    ours = list(talk.unheard)
    talk.peer.link.publish("out", b"of a timer", 1)
    talk.hear(b"".join(ack(PUBACK, number) for number in ours))
    assert talk.acknowledged == [1, 2, 3]


def test_a_failing_flow_waits_for_what_it_has_published() -> None:
    talk = conversation(1_000)

    def work(_host: object, _message: object, _entry: int) -> None:
        talk.peer.link.publish("out", b"x", 1)
        raise StepError("no", code="no")

    talk.deliver([(1, 1)])
    talk.peer.flow.work = work
    talk.deliver([(1, 1)])
    talk.acknowledge(1, is_backwards=False)
    assert talk.acknowledged == [1]
    talk.acknowledge(1, is_backwards=False)
    assert talk.acknowledged == [1, 2]


@pytest.mark.parametrize(
    ("steps", "is_direct"),
    [
        ("- publish: {topic: out, qos: 1}", True),
        ("- json\n  - fork: [[{publish: {topic: out, qos: 1}}], [{publish: {topic: b, qos: 2}}]]", True),
        ("- publish: {topic: out, qos: 1, connection: cloud}", True),
        ("- http: http://127.0.0.1:9/\n  - publish: {topic: out, qos: 1}", False),
    ],
)
def test_who_publishes_where_it_hears_and_never_waits_leaves_it_to_the_link(steps: str, *, is_direct: bool) -> None:
    peer, other = Peer(), Peer()
    program = compile_flow(read(f"subscribe: {{topic: in, qos: 1}}\nsteps:\n  {steps}\n", name="flow"))
    links, live, promises = {"default": peer.link, "cloud": other.link}, LiveFlow(program), Promises()
    live.connections.add("default")
    for name, link in links.items():
        publisher = promises.publisher(link, live, name)
        assert (publisher == link.publish) == (is_direct and name == "default")


def test_payloads_are_those_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SLICE", 1e9)
    talk = conversation(1_000)
    talk.peer.flow.work = lambda _host, message, _entry: talk.peer.link.publish("out", message.payload, 1)
    talk.peer.say(b"".join(publish("in", b"%d" % number, PUBLISH_1, number + 1) for number in range(100)))
    assert payloads(talk.peer.heard()) == [b"%d" % number for number in range(100)]
