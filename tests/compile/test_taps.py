"""Taps show what messages are at the steps of a flow, and change nothing of what it does."""

import shutil
from inspect import cleandoc
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from flowrunner.compile import Program, Taps, compile_flow
from flowrunner.compile.function import name_steps
from flowrunner.diagnostics import has_errors
from flowrunner.read.flow import Flow
from flowrunner.step import walk
from flowrunner.steps import all_steps
from flowrunner.waiting import WaitingStep
from tests import flow_host
from tests.compile.random_flows import Drawing, random_payload, yaml_of
from tests.flow_host import FlowHost, diagnose, read, run_cases

Seen = tuple[str, str, tuple[Any, ...], dict[str, Any]]


class Looking:
    """Taps flows and keeps what it sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: frozenset[str] | None = None) -> None:
        self.seen: list[Seen] = []
        taps = Taps(self.see, steps)

        def compile_tapped(flow: Flow) -> Program:
            return compile_flow(flow, taps=taps)

        monkeypatch.setattr(flow_host, "compile_flow", compile_tapped)

    def see(self, where: str, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        self.seen.append((where, step, origin, values))

    @property
    def steps(self) -> list[tuple[str, str]]:
        return [(where, step) for where, step, _, _ in self.seen]

    def values(self, where: str, step: str, name: str = "payload") -> list[Any]:
        return [seen[3][name] for seen in self.seen if seen[:2] == (where, step)]


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    return Looking(monkeypatch)


def get(flow: str, topic: str, payload: Any, *, after: float = 0.0) -> FlowHost:
    host = FlowHost(read(flow))
    host.get(topic, payload)
    host.after(after)
    return host


def test_every_step_shows_the_message_before_and_behind_it(looking: Looking) -> None:
    get("subscribe: a/+x\nsteps: [json, let: {y: '${payload + 1}'}, map: y * 2, publish: out]", "a/1", 20)
    assert looking.steps == [
        (where, step) for step in ("json 1", "let 1", "map 1", "publish 1") for where in ("in", "out")
    ]
    assert looking.values("in", "json 1") == [b"20"]
    assert looking.values("out", "let 1", "y") == [21]
    assert looking.values("out", "map 1") == [42]
    assert looking.values("in", "json 1", "x") == ["1"]


def test_what_is_dropped_does_not_come_out(looking: Looking) -> None:
    get("subscribe: a\nsteps: [json, filter: payload > 5, publish: out]", "a", 1)
    assert looking.steps == [("in", "json 1"), ("out", "json 1"), ("in", "filter 1")]


def test_a_step_whose_condition_is_false_is_skipped(looking: Looking) -> None:
    get("subscribe: a\nsteps:\n- json\n- {when: payload > 5, map: '1'}\n- {when: payload > 5, delay: 1s}", "a", 1)
    assert looking.steps[2:] == [
        ("in", "map 1"), ("skipped", "map 1"), ("out", "map 1"),
        ("in", "delay 1"), ("skipped", "delay 1"), ("out", "delay 1"),
    ]  # fmt: skip


def test_a_split_hands_on_each_item_of_one_origin(looking: Looking) -> None:
    get("subscribe: a\nsteps: [json, split: payload]", "a", [7, 8])
    assert looking.values("out", "split 1") == [7, 8]
    assert looking.values("out", "split 1", "index") == [0, 1]
    assert len({id(seen[2]) for seen in looking.seen}) == 1


def test_a_step_that_holds_a_message_shows_it_when_it_goes_on(looking: Looking) -> None:
    host = get("subscribe: a\nsteps: [delay: 5s]", "a", 1)
    assert looking.steps == [("in", "delay 1")]
    host.after(5)
    assert looking.steps == [("in", "delay 1"), ("out", "delay 1")]


def test_steps_of_on_error_are_seen(looking: Looking) -> None:
    get(
        """
        subscribe: a
        steps:
          - when: true
            decode: json
            on_error: continue
          - map: payload.x
            on_error: [log: bad]
    """,
        "a",
        b"{",
    )
    assert ("out", "decode 1") in looking.steps
    assert looking.steps[-2:] == [("in", "log 1"), ("out", "log 1")]
    assert looking.values("in", "log 1") == [b"{"]
    assert looking.values("in", "log 1", "error")[0]["step"] == "map"


def test_steps_of_a_flow_that_is_called_bear_the_name_of_the_call(looking: Looking) -> None:
    text = """
        flows:
          one:
            subscribe: a
            steps: [json, call: {flow: two, with: {limit: 3}}, publish: out]
          two:
            steps: [filter: payload > limit, map: payload + limit]
    """
    flows, found = diagnose(text)
    assert not has_errors(found)
    FlowHost(flows[0]).get("a", 4)
    assert looking.values("in", "call 1/filter 1", "limit") == [3]
    assert looking.values("out", "call 1/map 1") == [7]
    assert looking.values("out", "call 1") == [7]


def test_only_the_steps_that_are_asked_for_are_in_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    looking = Looking(monkeypatch, frozenset({"second"}))
    get("subscribe: a\nsteps: [json, {map: payload + 1, id: second}, publish: out]", "a", 1)
    assert looking.steps == [("in", "second"), ("out", "second")]


def test_without_taps_the_code_is_as_if_there_were_none() -> None:
    flow = read("subscribe: a\nsteps: [json, filter: payload > 5, delay: 1s, publish: out]")
    plain, empty = compile_flow(flow), compile_flow(flow, taps=Taps(print, frozenset()))
    assert plain.code == empty.code
    assert plain.shared.keys() == empty.shared.keys()


def test_a_tapped_version_takes_over_the_state_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = read("subscribe: a\nsteps: [json, delay: 5s, publish: out]")
    host = FlowHost(flow)
    host.get("a", 1)
    with monkeypatch.context() as patch:
        looking = Looking(patch)
        tapped = host.edit(flow)
    assert tapped.kept == ["delay 1"]
    tapped.get("a", 2)
    tapped.after(4)
    plain = tapped.edit(flow)
    assert plain.kept == ["delay 1"]
    assert plain.after(10).sent == [("out", 1), ("out", 2)]
    assert looking.steps == [("in", "json 1"), ("out", "json 1"), ("in", "delay 1")]


BESIDE = Path(__file__).parents[1] / "steps" / "beside"
EXAMPLES = [
    pytest.param(key, cleandoc(text), id=f"{key}-{number}")
    for key, step in all_steps().items()
    for number, text in enumerate(step.EXAMPLES, 1)
]


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_examples_do_the_same_with_taps(looking: Looking, tmp_path: Path, key: str, text: str) -> None:
    folder = shutil.copytree(BESIDE, tmp_path / "flows")
    for flow in diagnose(text, name=key, folder=folder)[0]:
        compile_flow(flow, taps=Taps(looking.see))
        if not any(isinstance(step, WaitingStep) for step in walk([*flow.steps, *flow.on_error.steps])):
            run_cases(flow)
            assert looking.seen or not flow.tests


@pytest.mark.parametrize("seed", range(60))
def test_random_flows_do_the_same_with_taps(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = Random(seed)
    flow, payload = Drawing(chance).flow(is_parsed=True), orjson.dumps(random_payload(chance))
    found, diagnostics = diagnose(yaml_of(flow, {"subscribe": "in/+room"}))
    if has_errors(diagnostics):  # a random step may take bytes for a map
        assert not found
        return
    plain = FlowHost(found[0])
    plain.enter("in/attic", payload)
    looking = Looking(monkeypatch)
    tapped = FlowHost(found[0])
    tapped.enter("in/attic", payload)
    assert (tapped.outcome.published, tapped.outcome.stopped) == (plain.outcome.published, plain.outcome.stopped)
    assert [error.message for error in tapped.outcome.errors] == [error.message for error in plain.outcome.errors]
    known = {name_steps(found[0])[id(step)] for step in walk([*found[0].steps, *found[0].on_error.steps])}
    assert {step for _, step in looking.steps} <= known
