"""Measures the parts that a message goes through, and what a start makes: `pytest tests/benchmarks -m benchmark`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from timeit import repeat
from typing import Any

import pytest

from flowrunner import records
from flowrunner.compile import compile_flow
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Table, Want
from tests.benchmarks.programs import flows_for
from tests.flow_host import read
from tests.run.fakes import FakeProgram, subscribe
from tests.run.peer import Peer, ack, numbers, packets, publish

pytestmark = pytest.mark.benchmark

MESSAGES = 1_000
IDENTIFIER = b"\x02\x0b\x01"


def stream(first: int) -> bytes:
    payload = b'{"machine":"m17","pressure":8.4,"flow":117,"at":1700000017}'
    return b"".join(
        publish(f"plant/m{number % 100}/state", payload, first, number + 1, IDENTIFIER) for number in range(MESSAGES)
    )


def ready(work: Any = None) -> Peer:
    """A peer whose flow does nothing but this."""
    peer = Peer("wire", 5)
    peer.live.handler = peer.live.plain = work or (lambda *_: None)
    return peer.connect()


def feed(peer: Peer, data: bytes) -> None:
    peer.network.brings += [data] if data else []
    while peer.link.read() or peer.network.brings:
        pass
    peer.network.taken.clear()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_thousand_messages_in(benchmark: Any, qos: int) -> None:
    peer = ready()
    benchmark(feed, peer, stream(0x30 | qos << 1))
    assert peer.live.received >= MESSAGES


@pytest.mark.parametrize("qos", [0, 1])
def test_a_thousand_messages_out(benchmark: Any, qos: int) -> None:
    peer = ready()
    topics = [f"alarms/m{number % 100}" for number in range(MESSAGES)]

    def acknowledged() -> None:
        found = numbers(packets(bytes(peer.network.taken)), 0x32)
        feed(peer, b"".join(ack(0x40, number) for number in found))

    def send() -> None:
        for topic in topics:
            peer.link.publish(topic, b'{"machine":"m17","pressure":8.4,"alarm":"high"}', qos)
        peer.link.write()

    benchmark.pedantic(send, setup=acknowledged, rounds=50)
    assert peer.link.published >= MESSAGES


def test_a_thousand_acknowledgements(benchmark: Any) -> None:
    peer = ready()
    found: list[bytes] = []

    def send() -> None:
        for _ in range(MESSAGES):
            peer.link.publish("a", b"x", 1)
        peer.link.write()
        found[:] = [b"".join(ack(0x40, number) for number in numbers(packets(bytes(peer.network.taken)), 0x32))]

    benchmark.pedantic(lambda: feed(peer, found[0]), setup=send, rounds=50)
    assert peer.link.pending == 0


@pytest.mark.parametrize("qos", [0, 1])
def test_a_thousand_messages_through_a_flow(benchmark: Any, qos: int) -> None:
    program = compile_flow(read((flows_for(0) / "alarm.yaml").read_text(), name="alarm", folder=Path()))
    peer = ready()

    class Host:
        def publisher(self, _connection: str) -> Any:
            return peer.link.publish

        def __getattr__(self, _name: str) -> Any:
            return lambda *_: None

    peer.live.handler = peer.live.plain = program.bind(Host())
    benchmark(feed, peer, stream(0x30 | qos << 1))
    assert peer.link.published >= MESSAGES


def table(count: int) -> Table:
    """The routes of so many flows, each with a filter of its own."""
    flows = [LiveFlow(FakeProgram(f"flow {number}", subscribe(f"plant/m{number}/+"))) for number in range(count)]
    for flow in flows:
        flow.handler = lambda *_: None
    return Table(Want(flow, 0, flow.program.flow.sources[0]) for flow in flows)  # type: ignore[arg-type]


def seconds_for_routes(found: Table, topics: int) -> float:
    """For a thousand routes that are not remembered."""
    names = [f"plant/m{number % topics}/state" for number in range(MESSAGES)]
    return min(repeat(lambda: [found.route(name, False, ()) for name in names], number=1, repeat=20))


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_thousand_routes(benchmark: Any, count: int) -> None:
    found = table(count)
    names = [f"plant/m{number % 10}/state" for number in range(MESSAGES)]
    assert len(benchmark(lambda: [found.route(name, False, ()) for name in names])) == MESSAGES


def test_with_ten_thousand_subscriptions_a_route_costs_what_it_costs_with_ten() -> None:
    few, many = seconds_for_routes(table(10), 10), seconds_for_routes(table(10_000), 10)
    assert many / few < 1.5


def test_with_ten_thousand_subscriptions_a_message_costs_what_it_costs_with_a_hundred() -> None:
    data = stream(0x30)

    def seconds(count: int) -> float:
        peer = ready()
        peer.router.table = table(count)
        return min(repeat(lambda: feed(peer, data), number=1, repeat=20))

    assert seconds(10_000) / seconds(100) < 1.5


MAKERS = pytest.mark.parametrize("make", [dataclasses.dataclass, records.dataclass], ids=["dataclasses", "records"])


def made_by(make: Callable[..., Any]) -> Any:
    """A class with five fields."""

    class Place:
        """A place."""

        name: str
        line: int
        column: int = 1
        words: tuple[str, ...] = ()
        is_known: bool = False

    return make(frozen=True, slots=True)(Place)


@MAKERS
def test_a_class(benchmark: Any, make: Callable[..., Any]) -> None:
    made = benchmark(made_by, make)
    assert made("a", 1).line == 1


@MAKERS
def test_an_instance(benchmark: Any, make: Callable[..., Any]) -> None:
    made = benchmark(made_by(make), "a", 2)
    assert made.line == 2
