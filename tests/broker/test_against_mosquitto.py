"""Three clients do the same on this broker and on mosquitto, at random, and see the same."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from flowrunner.broker import BrokerThread
from flowrunner.topics import matches, parse_filter
from tests.broker.wire import PUBLISH, PUBREC, PUBREL, Message, Wire, number, packet, u16, u32
from tests.mosquitto import Mosquitto, require_mosquitto

CONFIG = """allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
sys_interval 0
"""
NAMES = st.sampled_from(["anna", "bert", "carl"])
QOS = st.integers(0, 2)
TOPICS = st.sampled_from(["x", "x/y", "x/y/z", "w/y", "w"])
FILTERS = st.sampled_from(["#", "+", "x", "x/#", "x/y", "+/y", "x/+/z", "w/#", "+/+", "x/y/z/#"])
NO_LOCAL, AS_PUBLISHED, NEVER_SEND = 4, 8, 0x20
RUNS = count()


class Seer(Wire):
    """A client that sees every message through to the end and remembers it."""

    def __init__(self, port: int, version: int) -> None:
        super().__init__(port, version)
        self._seen: list[Message] = []

    def take(self) -> list[Message]:
        """What it saw since the last time."""
        seen, self._seen = self._seen, []
        return seen

    def look(self) -> bool:
        """Answer whatever has come; false if it was nothing."""
        news = self.waiting()
        for each in news:
            if each.kind == PUBLISH:
                message = self.take_apart(each)
                self._seen.append(message)
                if message.qos:
                    self.send(packet(0x40 if message.qos == 1 else 0x50, u16(message.packet_id)))
            elif each.kind == PUBREC:
                self.send(packet(0x62, each.body[:2]))
            elif each.kind == PUBREL:
                self.send(packet(0x70, each.body[:2]))
        return bool(news)


@dataclass
class Twin:
    """One client, connected to both brokers or to none; `filters` are those of its session, with their options."""

    version: int = 4
    wires: list[Seer] = field(default_factory=list)
    filters: dict[str, int] = field(default_factory=dict)


class BrokersAgree(RuleBasedStateMachine):
    def __init__(self, ports: tuple[int, int]) -> None:
        super().__init__()
        self.ports = ports
        self.prefix = f"run{next(RUNS)}"
        self.clients: defaultdict[str, Twin] = defaultdict(Twin)
        self.payloads = count()
        self.kept: set[str] = set()

    def teardown(self) -> None:
        """Leave nothing for the next run: no session, no retained message."""
        for name in self.clients:
            self.leave(name, "politely")
        for port in self.ports:
            for name in self.clients:
                with Wire(port, 4) as wire:
                    wire.connect(f"{self.prefix}-{name}")
            with Wire(port, 4) as wire:
                wire.connect(f"{self.prefix}-cleaner")
                for topic in self.kept:
                    wire.publish(topic, b"", retain=True)
                wire.waiting()

    def topic(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    @rule(
        name=NAMES,
        version=st.sampled_from([4, 5]),
        is_clean=st.booleans(),
        expiry=st.sampled_from([0, 100]),
        will=st.none() | st.tuples(TOPICS, QOS, st.booleans()),
    )
    def connect(self, name: str, version: int, is_clean: bool, expiry: int, will: tuple[str, int, bool] | None) -> None:
        if self.clients[name].wires:
            self.leave(name, "politely")
        extra = b"\x11" + u32(expiry) if version == 5 else b""
        last = None
        if will is not None:
            self.kept.add(self.topic(will[0]))
            last = (self.topic(will[0]), b"%d" % next(self.payloads), will[1], will[2])
        twin = self.clients[name]
        twin.version = version
        answers = []
        for port in self.ports:
            wire = Seer(port, version)
            twin.wires.append(wire)
            answer = wire.connect(f"{self.prefix}-{name}", clean=is_clean, extra=extra, will=last)
            answers.append(answer.body[:2])
        assert answers[0] == answers[1], "session present"
        if not answers[0][0]:
            twin.filters = {}
        self.compare()

    @rule(name=NAMES, manner=st.sampled_from(["politely", "with will", "rudely"]))
    def leave(self, name: str, manner: str) -> None:
        twin = self.clients[name]
        for wire in twin.wires:
            if manner == "rudely":
                wire.send(b"\x00\x00")
                wire.expect_closed()
                wire.close()
            else:
                wire.disconnect(4 if manner == "with will" and twin.version == 5 else 0)
        twin.wires = []
        self.compare()

    @precondition(lambda self: any(twin.wires for twin in self.clients.values()))
    @rule(
        name=NAMES,
        wanted=st.lists(st.tuples(FILTERS, QOS), min_size=1, max_size=2, unique_by=lambda pair: pair[0]),
        options=st.sampled_from([0, AS_PUBLISHED, NO_LOCAL | NEVER_SEND, 0x10, NEVER_SEND, 0x10 | AS_PUBLISHED]),
        identifier=st.sampled_from([0, 1, 300]),
        is_shared=st.booleans(),
    )
    def subscribe(
        self, name: str, wanted: list[tuple[str, int]], options: int, identifier: int, is_shared: bool
    ) -> None:
        twin = self.clients[name]
        if twin.version == 4:
            options = identifier = 0
        group = f"$share/{self.prefix}{name}/" if is_shared and twin.version == 5 else ""
        if group:
            options = NEVER_SEND  # mosquitto 2.0.11 sends retained messages here, which section 4.8.2 rules out
        filters = [(f"{group}{self.topic(text)}", qos | options) for text, qos in wanted]
        for text, _ in filters:
            if twin.filters.get(text, options) != options:  # mosquitto 2.0.11 keeps the options of the first time
                for wire in twin.wires:
                    wire.unsubscribe(text)
        extra = b"\x0b" + number(identifier) if identifier else b""
        answers = [wire.subscribe(*filters, extra=extra) for wire in twin.wires]
        assert len(set(answers)) < 2
        if twin.wires:
            twin.filters |= dict.fromkeys((text for text, _ in filters), options)
        self.compare()

    @rule(name=NAMES, text=FILTERS)
    def unsubscribe(self, name: str, text: str) -> None:
        twin = self.clients[name]
        answers = [wire.unsubscribe(self.topic(text)) for wire in twin.wires]
        assert len(set(answers)) < 2
        if twin.wires:
            twin.filters.pop(self.topic(text), None)
        self.compare()

    @precondition(lambda self: any(twin.wires for twin in self.clients.values()))
    @rule(name=NAMES, text=TOPICS, qos=QOS, is_retained=st.booleans(), is_empty=st.sampled_from([False, False, True]))
    def publish(self, name: str, text: str, qos: int, is_retained: bool, is_empty: bool) -> None:
        payload = b"" if is_empty else b"%d" % next(self.payloads)
        self.kept.add(self.topic(text))
        for wire in self.clients[name].wires:
            wire.publish(self.topic(text), payload, qos=qos, retain=is_retained)
        self.compare()

    def compare(self) -> None:
        """Let everything arrive on both sides, and compare what each client saw."""
        seers = [wire for twin in self.clients.values() for wire in twin.wires]
        while any([seer.look() for seer in seers]):  # noqa: C419 (all of them, each time)
            pass
        for name, twin in self.clients.items():
            if twin.wires:
                ours, theirs = (summary(seer.take(), twin) for seer in twin.wires)
                assert ours == theirs, f"{name} sees {ours} here and {theirs} on mosquitto"


def summary(messages: list[Message], twin: Twin) -> dict[tuple[str, bytes], object]:
    """What must be the same: mosquitto sends a copy for each subscription, or with 3.1.1 any one of them."""
    copies: defaultdict[tuple[str, bytes], list[Message]] = defaultdict(list)
    for message in messages:
        copies[message.topic, message.payload].append(message)
    found: dict[tuple[str, bytes], object] = {}
    for (topic, payload), same in copies.items():
        matching = sum(matches(parse_filter(text), topic) for text in twin.filters)
        if twin.version == 4 and matching > 1:
            found[topic, payload] = "any"
        else:
            identifiers = {each for message in same for each in message.properties.get(11, [])}
            qos, retain = max(each.qos for each in same), any(each.retain for each in same)
            found[topic, payload] = (qos, retain, identifiers)
    return found


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    require_mosquitto()
    with ExitStack() as stack:
        ours = stack.enter_context(BrokerThread(status_interval=0))
        theirs = stack.enter_context(Mosquitto(tmp_path_factory.mktemp("mosquitto"), CONFIG))
        yield ours.port, theirs.port


def run(ports: tuple[int, int], *, examples: int, steps: int) -> None:
    calm = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: BrokersAgree(ports), settings=calm)  # type: ignore[arg-type]


@pytest.mark.broker
def test_three_clients_see_the_same_as_on_mosquitto(ports: tuple[int, int]) -> None:
    run(ports, examples=15, steps=20)


@pytest.mark.soak
def test_three_clients_see_the_same_for_long(ports: tuple[int, int]) -> None:
    run(ports, examples=300, steps=50)
