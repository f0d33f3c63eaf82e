"""`when` stands beside every step: the step runs only if it is true, else the message passes unchanged."""

import json
import re
from typing import Any

import pytest

from flowrunner.step import Step
from flowrunner.steps import all_steps
from flowrunner.waiting import WaitingStep
from tests.flow_host import diagnose, message, read, run, run_steps
from tests.steps.examples import shown_values

HERE = [step for step in all_steps().values() if not issubclass(step, WaitingStep)]


def flow_with(step: type[Step], when: str, **beside: Any) -> str:
    """A flow with a step as its example shows it, `when` beside it."""
    *_, value = shown_values(step)
    levels = re.findall(r"(?:[/\s])[+#]([a-z]\w*)", "".join(step.EXAMPLES))
    steps = [
        {"let": {"here": 1, **dict.fromkeys(levels, "x")}},
        {"decode": "json"},
        {step.KEY: value, "when": when, **beside},
        {"publish": "out"},
    ]
    flow = {"subscribe": "in", "steps": steps}
    if step.KEY != "call":
        return json.dumps(flow, indent=1)
    called = {"steps": [{"publish": "/".join(f"${{{name}}}" for name in value["with"])}]}
    return json.dumps({"flows": {"flow": flow, value["flow"]: called}}, indent=1)


@pytest.mark.parametrize("step", HERE, ids=lambda step: step.KEY)
def test_step_that_is_not_wanted_passes_the_message_on(step: type[Step]) -> None:
    outcome = run(flow_with(step, "retain"), message("in", {"any": [1, "payload"]}))
    assert outcome.sent == [("out", {"any": [1, "payload"]})]
    assert not outcome.errors
    assert not outcome.logged


@pytest.mark.parametrize("step", HERE, ids=lambda step: step.KEY)
def test_condition_that_fails_fails_the_message_at_its_place(step: type[Step]) -> None:
    outcome = run(flow_with(step, "payload.nothing"), message("in", {"any": 1}))
    assert outcome.sent == []
    assert (outcome.error.code, outcome.error.span.text) == ("missing-field", "payload.nothing")


@pytest.mark.parametrize("step", HERE, ids=lambda step: step.KEY)
def test_condition_that_fails_is_handled_by_the_step(step: type[Step]) -> None:
    outcome = run(flow_with(step, "payload.nothing", on_error="continue"), message("in", {"any": 1}))
    assert outcome.sent == [("out", {"any": 1})]
    assert (outcome.errors, len(outcome.handled)) == ([], 1)


@pytest.mark.parametrize("when", ["0", "'[]'", "'{}'", "'\"\"'", "null", "false", "'0.0'"])
def test_empty_values_are_false(when: str) -> None:
    assert run_steps(f"- map: 1\n  when: {'qos' if when == 'null' else when}", b"5").sent == [("out", 5)]


@pytest.mark.parametrize("when", ["1", "'[0]'", "'\"0\"'", "true", "payload"])
def test_other_values_are_true(when: str) -> None:
    assert run_steps(f"- map: 1\n  when: {when}", b"5").sent == [("out", 1)]


def test_name_that_only_the_step_sets_is_not_known_behind_it() -> None:
    _, found = diagnose("subscribe: in\nsteps:\n  - let: {x: 1}\n    when: retain\n  - publish: out/${x}\n")
    assert [(one.code, one.helps) for one in found] == [("unknown-name", ("`x` is not set where `when` is false",))]


def test_name_that_was_there_before_is_known_behind_it() -> None:
    flow = read("subscribe: in\nsteps:\n  - let: {x: 1}\n  - let: {x: 2}\n    when: retain\n  - publish: out/${x}\n")
    assert [sent.topic for sent in run(flow, message("in"), message("in", retain=True)).published] == ["out/1", "out/2"]


def test_payload_may_be_bytes_where_decoding_was_conditional() -> None:
    outcome = run_steps("- decode: utf-8\n  when: retain\n- filter: payload == 'ON'", b"ON")
    assert (outcome.error.code, outcome.error.message) == ("bytes-payload", "bytes are compared with a text")


def test_stop_with_a_condition_leaves_the_rest_reachable() -> None:
    _, found = diagnose(
        "subscribe: in\nsteps:\n  - stop\n    when: retain\n  - publish: out\n".replace(
            "stop\n    when", "stop:\n    when"
        )
    )
    assert found == []
