"""Rings of flows, flows that acknowledge early, and flows that hold up the acknowledgements of others."""

from pathlib import Path

import pytest

from flowrunner.diagnostics import render
from flowrunner.read.delivery import acknowledged_early, finishes_later, shared_connections
from flowrunner.read.flow import Flow
from flowrunner.read.loops import find_rings
from tests.flow_host import read


def flows(*texts: str) -> list[Flow]:
    return [read(text, name=f"f{number}") for number, text in enumerate(texts)]


def copy(heard: str, said: str, more: str = "") -> str:
    return f"subscribe: {heard}\nsteps:\n  - publish: {said}\n{more}"


RINGS = [
    ([copy("a", "b"), copy("b", "a")], "`f0` and `f1`"),
    ([copy("a/+x", "b/${x}"), copy("b/#", "a/x")], "`f0` and `f1`"),
    ([copy("a", "b"), copy("b", "c"), copy("c", "a")], "3 flows"),
    ([copy("a", "b"), copy("+", "a/b"), copy("a/#", "a")], "3 flows"),
    ([copy("a", "'${topic}/x'"), copy("a/x", "a")], "`f0` and `f1`"),
    ([copy("z", "y"), copy("a", "b"), copy("b", "a"), copy("b", "z")], "`f1` and `f2`"),
]


@pytest.mark.parametrize(("texts", "who"), RINGS)
def test_a_ring_of_flows_is_found_and_told_once(texts: list[str], who: str) -> None:
    (found,) = find_rings(flows(*texts))
    assert found.severity == "warning"
    assert found.code == "possible-loop"
    assert found.message == f"messages may go round between {who}: an endless loop"
    assert len(found.message) < 80
    assert "hears" in found.helps[0]


@pytest.mark.parametrize(
    "texts",
    [
        [copy("a", "b"), copy("b", "c")],
        [copy("a", "b"), copy("b", "a", "enabled: false\n")],
        [copy("a", "b"), copy("{topic: b, no_local: true}", "a")],
        [copy("a", "b"), copy("{topic: b, connection: cloud}", "{topic: a, connection: cloud}")],
        [copy("a", "a")],  # is told where it stands: see find_loops
    ],
)
def test_what_is_no_ring(texts: list[str]) -> None:
    assert find_rings(flows(*texts)) == []


def test_a_thousand_flows_are_looked_through(tmp_path: Path) -> None:
    many = flows(*(copy(f"in/{number}/+x", f"out/{number}/${{x}}") for number in range(300)))
    ring = flows(copy("out/7/#", "in/7/again"))
    assert len(find_rings([*many, *ring])) == 1


def test_a_ring_is_drawn() -> None:
    assert render(find_rings(flows(copy("a", "b"), copy("b", "a")))) == (
        "warning[possible-loop]: messages may go round between `f0` and `f1`: an endless loop\n"
        " --> flows/f0.yaml:3:14\n"
        "  |\n"
        "3 |   - publish: b\n"
        "  |              ^\n"
        "help: `f0` publishes what `f1` hears, `f1` publishes what `f0` hears\n"
        "help: publish to a topic that none of them hears, such as `.../out`\n"
    )


RELIABLE = "subscribe: {topic: a, qos: 1}\nsteps:\n"
PLAIN = "subscribe: a\nsteps:\n"


def test_flows_that_acknowledge_early_are_named() -> None:
    given = flows(
        f"{RELIABLE}  - window: {{every: 1m}}\n  - debounce: 1s\n",
        f"{RELIABLE}  - changed: payload\n  - throttle: 5s\n",
        f"{PLAIN}  - delay: 1s\n",
        f"{RELIABLE}  - throttle: {{rate: 5s, keep: last}}\n",
        f"{RELIABLE}  - fork: [[delay: 1s]]\n",
    )
    assert [line.partition(":")[0] for line in acknowledged_early(given)] == [
        "f0 acknowledges messages when they reach `window`, `debounce`",
        "f3 acknowledges messages when they reach `throttle`",
        "f4 acknowledges messages when they reach `delay`",
    ]


def test_flows_that_may_drop_what_waits_are_named() -> None:
    waiting = "subscribe: {topic: a, qos: 1}\nqueue: {size: 7, policy: drop_new}\nsteps:\n  - http: http://h\n"
    assert list(acknowledged_early(flows(waiting, waiting.replace("drop_new", "block")))) == [
        "f0 drops messages at QoS 1 and 2 when more than 7 wait for `http`; `policy: block` keeps them"
    ]


def test_a_flow_that_waits_and_shares_its_connection_is_told() -> None:
    waiting = f"{RELIABLE}  - http: http://h\n"
    other = f"{RELIABLE}  - publish: x\n"
    (found,) = shared_connections(flows(waiting, other))
    assert (found.code, found.severity, found.span.text) == ("shared-connection", "warning", "a")
    assert found.message == "while `http` waits, no message of `f1` is acknowledged either"
    assert list(shared_connections(flows(waiting))) == []
    assert list(shared_connections(flows(waiting, f"{PLAIN}  - publish: x\n"))) == []
    apart = "subscribe: {topic: a, qos: 1, connection: cloud}\nsteps:\n  - publish: x\n"
    assert list(shared_connections(flows(waiting, apart))) == []


@pytest.mark.parametrize(
    ("step", "is_later"),
    [
        ("publish: x", False),
        ("publish: {topic: x, qos: 1}", True),
        ("publish: {topic: x, qos: '${1}'}", True),
        ("http: http://h", True),
        ("window: {every: 1s}", False),
        ("fork: [[{publish: {topic: x, qos: 2}}]]", True),
    ],
)
def test_what_finishes_later(step: str, is_later: bool) -> None:
    assert finishes_later(read(f"{RELIABLE}  - {step}\n")) is is_later
