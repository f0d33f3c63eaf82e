"""Large flows work, and those that are too large for Python are refused in words."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from flowrunner.compile import compile_flow
from flowrunner.errors import FlowError
from tests.flow_host import diagnose, message, read, run

Nest = Callable[[list[Any]], list[Any]]

NESTS: dict[str, Nest] = {
    "filter": lambda steps: [{"filter": {"if": "retain", "else": steps}, "on_error": "continue"}],
    "switch": lambda steps: [{"switch": [{"when": "not retain", "steps": steps}], "on_error": {"publish": "x"}}],
    "fork": lambda steps: [{"fork": [steps], "on_error": {"publish": "x"}}],
    "split": lambda steps: [{"switch": [{"when": "1", "steps": [{"split": "[1]"}, *steps]}], "on_error": "continue"}],
    "handler": lambda steps: [{"map": "1 / 0", "on_error": steps}],
}


def nested(depth: int, nest: Nest) -> str:
    steps: list[Any] = [{"publish": "deep"}]
    for _ in range(depth):
        steps = nest(steps)
    return json.dumps({"subscribe": "in", "steps": steps})


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS.keys())
def test_steps_inside_of_steps(nest: Nest) -> None:
    assert [sent.topic for sent in run(nested(14, nest), message("in")).published] == ["deep"]


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS.keys())
@pytest.mark.parametrize("depth", [21, 100])
def test_steps_too_deep_inside_of_steps_are_refused(nest: Nest, depth: int) -> None:
    flows, found = diagnose(nested(depth, nest))
    if flows:
        try:
            compile_flow(flows[0])
        except FlowError as error:
            found = list(error.diagnostics)
    assert {diagnostic.code for diagnostic in found} <= {"too-deep"}


def test_thousand_steps() -> None:
    steps = "".join(f"  - set: {{a{number}: 1}}\n" for number in range(1000))
    (sent,) = run(f"subscribe: in\nsteps:\n  - json\n{steps}  - publish: out\n", message("in", {})).published
    assert len(sent.value) == 1000


def test_thousand_fields_in_one_step() -> None:
    fields = "".join(f"      a{number}.b: 1\n" for number in range(1000))
    (sent,) = run(f"subscribe: in\nsteps:\n  - json\n  - set:\n{fields}  - publish: out\n", message("in", {})).published
    assert len(sent.value) == 1000


def test_two_thousand_cases_are_refused() -> None:
    cases = "".join(f"      - {{when: payload == {number}, steps: [stop]}}\n" for number in range(2000))
    flow = read(f"subscribe: in\nsteps:\n  - json\n  - switch:\n{cases}")
    with pytest.raises(FlowError) as caught:
        compile_flow(flow)
    (found,) = caught.value.diagnostics
    assert found.message == "the flow `flow` is too large, or nested too deeply, to be compiled"
