"""Rings that nobody could see before they went round."""

from collections import Counter
from typing import Any

import pytest

from flowrunner.compile import compile_flow
from flowrunner.run import loop_guard
from flowrunner.run.live import LiveFlow
from flowrunner.run.loop_guard import may_go_round, rings_in
from tests.flow_host import read
from tests.mosquitto import Mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, ready, running, until


def live(**flows: str) -> list[LiveFlow]:
    return [LiveFlow(compile_flow(read(text, name=name))) for name, text in flows.items()]


def copy(heard: str, said: str) -> str:
    return f"subscribe: {heard}\nsteps:\n  - decode: utf-8\n  - publish: {said!r}\n"


@pytest.mark.parametrize(
    ("flows", "may"),
    [
        ({"a": copy("in/#", "out")}, False),
        ({"a": copy("in/#", "in/x")}, True),
        ({"a": copy("in/#", "${payload}")}, True),
        ({"a": copy("in", "x"), "b": copy("x", "y")}, False),
        ({"a": copy("in", "x"), "b": copy("x", "in")}, True),
        ({"a": copy("{topic: in, connection: cloud}", "x"), "b": copy("x", "in")}, True),
        ({"a": copy("rooms/+r", "lamps/${r}"), "b": copy("lamps/+r", "log/${r}")}, False),
    ],
)
def test_where_a_closer_look_is_worth_it(flows: dict[str, str], may: bool) -> None:
    assert may_go_round(live(**flows)) is may


def test_of_what_is_no_file_nobody_knows() -> None:
    assert may_go_round([LiveFlow(FakeProgram("flow", "a"))])
    assert not may_go_round([LiveFlow(FakeProgram("flow"))])


Counts = dict[str, dict[str, int]]


@pytest.mark.parametrize(
    ("came", "went", "flows"),
    [
        pytest.param({"a": {"x": 1000}}, {"a": {"x": 1000}}, ["a"], id="hears itself"),
        pytest.param({"a": {"x": 50}}, {"a": {"x": 50}}, None, id="too slow to matter"),
        pytest.param({"a": {"x": 1000}}, {"a": {"y": 1000}}, None, id="no ring"),
        pytest.param(
            {"a": {"x": 500}, "b": {"y": 500}}, {"a": {"y": 500}, "b": {"x": 500}}, ["a", "b"], id="two flows"
        ),
        pytest.param(
            {"a": {"in": 500, "answer": 500}, "b": {"ask": 500}},
            {"a": {"ask": 500, "out": 500}, "b": {"answer": 500}},
            None,
            id="question and answer",
        ),
        pytest.param({"a": {"x": 1000}, "b": {"y": 1000}}, {"a": {"y": 1000}, "b": {"z": 1000}}, None, id="a chain"),
        pytest.param({"a": {"x": 1000}}, {"a": {"x": 3}}, None, id="others publish there, too"),
        pytest.param({"a": {"x": 1000, "in": 5}}, {"a": {"x": 1005}}, ["a"], id="and it is fed on"),
    ],
)
def test_what_is_a_ring(came: Counts, went: Counts, flows: list[str] | None) -> None:
    found = rings_in(
        {flow: Counter(topics) for flow, topics in came.items()},
        {flow: Counter(topics) for flow, topics in went.items()},
    )
    assert [list(ring.flows) for ring in found] == ([] if flows is None else [flows])


@pytest.mark.broker
@pytest.mark.usefixtures("each_link")
async def test_a_ring_is_cut_and_named_and_everything_else_goes_on(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_guard, "TURN", 0.2)
    monkeypatch.setattr(loop_guard, "LOOK", 0.2)
    monkeypatch.setattr(loop_guard, "CUT", 0.3)
    told = Told()
    there = "subscribe: {topic: there, qos: 1}\nsteps:\n  - decode: utf-8\n  - publish: '${payload}'\n"
    back = "subscribe: back/#\nsteps:\n  - publish: there\n"
    programs: list[Any] = [
        compile_flow(read(text, name=name))
        for name, text in (("there", there), ("back", back), ("good", "subscribe: good\nsteps:\n  - publish: fine\n"))
    ]
    async with (
        running(mosquitto.settings(), *programs, told=told) as runner,
        Hand(mosquitto.settings(), "fine") as hand,
    ):
        await ready(runner)
        await hand.publish("there", b"back/x")
        await until(lambda: "the ring was cut" in told.text, what=told.text[-500:])
        await hand.publish("good")
        await until(lambda: hand.got)
        received = runner.flows["back"].received
        await hand.publish("good")
        await until(lambda: len(hand.got) == 2)
        assert runner.flows["back"].received <= received + 1
        assert runner.flows["there"].dropped + runner.flows["back"].dropped >= 1
    (line,) = [line for line in told.lines if "the ring was cut" in line]
    assert line.startswith("error: `back`, `there` hear each other through `back/x`, `there`, ")
    assert line.endswith("publish elsewhere, or subscribe with `no_local`\n")
