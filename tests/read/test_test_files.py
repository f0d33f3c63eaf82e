"""`*.test.yaml`: tests that stand in a file of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import render
from flowrunner.read.flow import read_flows
from flowrunner.read.load import Loaded, find_files, load
from flowrunner.read.settings import Settings
from flowrunner.read.test_files import TestFiles
from flowrunner.steps import all_steps
from flowrunner.text import Source
from flowrunner.trial.suite import all_tests

FLOW = "subscribe: in\nvars: {limit: 1}\nsteps:\n  - publish: out\n"
SEVERAL = "flows:\n  one:\n    subscribe: a\n    steps: [json]\n  two:\n    subscribe: b\n    steps: [json]\n"
CASE = "tests: [{name: x, given: {topic: in}, expect: {topic: out}}]\n"


def loaded(folder: Path, *paths: str, **files: str) -> Loaded:
    for name, text in {"heat": FLOW, "units": SEVERAL, **files}.items():
        path = folder / f"{name.replace('__', '/').replace('_', '.')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load([folder / path for path in paths] or [folder])


@pytest.mark.parametrize("flow", ["heat", "heat.yaml", "heat.yaml#heat", "units.yaml#two", "two"])
def test_the_flow_is_named_by_its_name_or_its_file(tmp_path: Path, flow: str) -> None:
    found = loaded(tmp_path, heat_test=f"description: more of it\nflow: {flow}\n{CASE}")
    assert found.diagnostics == ()
    (tested,) = found.tests
    assert tested.flow.name == ("two" if "two" in flow else "heat")
    assert [case.name for case in tested.cases] == ["x"]
    assert {path.name for path in found.files} == {"heat.yaml", "units.yaml"}
    assert [path.name for path in found.test_files] == ["heat.test.yaml"]


def test_a_file_of_tests_is_no_flow(tmp_path: Path) -> None:
    loaded(tmp_path, heat_test=f"flow: heat\n{CASE}")
    assert {path.name for path in find_files(tmp_path)} == {"heat.yaml", "units.yaml"}
    assert list(find_files(tmp_path / "heat.test.yaml")) == []


@pytest.mark.parametrize("flow", ["heat", "../heat.yaml"])
def test_a_file_of_tests_alone_finds_its_flow(tmp_path: Path, flow: str) -> None:
    name = "heat_test" if flow == "heat" else "tests__heat_test"
    path = "heat.test.yaml" if flow == "heat" else "tests/heat.test.yaml"
    found = loaded(tmp_path, path, **{name: f"flow: {flow}\n{CASE}"})
    assert found.diagnostics == ()
    assert (found.flows, found.files) == ((), ())
    assert [test.flow.name for test in all_tests(found)] == ["heat"]


def test_the_flow_of_a_file_is_read_once(tmp_path: Path) -> None:
    found = loaded(tmp_path, heat_test=f"flow: heat.yaml\n{CASE}", more_test=f"flow: ./heat.yaml\n{CASE}")
    assert {id(tested.flow) for tested in found.tests} == {id(flow) for flow in found.flows if flow.name == "heat"}


def test_a_mistake_in_the_flow_is_said_once(tmp_path: Path) -> None:
    found = loaded(tmp_path, heat=FLOW.replace("publish", "pubish"), heat_test=f"flow: heat\n{CASE}")
    assert [diagnostic.code for diagnostic in found.diagnostics] == ["unknown-step"]
    assert found.tests == ()


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        (f"flow: heet\n{CASE}", "there is no flow `heet`", "did you mean `heat`?"),
        (f"flow: nothing\n{CASE}", "there is no flow `nothing`", "there are `heat`, `one`, `two`"),
        (f"flow: heet.yaml\n{CASE}", "there is no file `heet.yaml`", "did you mean `heat.yaml`?"),
        (f"flow: heat.yaml#cold\n{CASE}", "there is no flow `cold` in `heat.yaml`", "there are `heat`"),
        (f"flow: units.yaml\n{CASE}", "`units.yaml` holds several flows", "write `units.yaml#one`; it holds `one`, `two`"),
        (f"flow: units.yaml#\n{CASE}", "`flow` of `a file of tests` must be the name of a flow, or a file", ""),
        (CASE, "`a file of tests` needs `flow`", "add `flow: ...`"),
        ("flow: heat\n", "`a file of tests` needs `tests`", "add `tests: ...`"),
        (f"flow: heat\nsteps: [json]\n{CASE}", "`a file of tests` has no option `steps`", ""),
        ("- flow: heat\n", "a file of tests must be a map", "it has `flow:`"),
        ("flow: heat\ntests: [{given: []}]\n", "`tests` needs `expect`", ""),
        ("flow: heat\ntests: [{given: [], expect: [], vars: {limits: 2}}]\n", "the flow has no constant `limits`", "did you mean `limit`?"),
        ("flow: heat\ntests: [{given: [], expect: [], mocks: {ask: null}}]\n", "no step has the id `ask`", "no step of this flow can have a mock"),
        ("flow: heat\ntests: [\n", "", ""),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_of_tests(tmp_path: Path, text: str, message: str, help: str) -> None:
    found = loaded(tmp_path, heat_test=text)
    (diagnostic,) = found.diagnostics
    assert diagnostic.span.source.name.endswith("heat.test.yaml")
    assert diagnostic.message.startswith(message), render([diagnostic])
    assert help in " ".join(diagnostic.helps)
    assert len(diagnostic.message) < 130
    assert found.tests == ()
    assert len(found.flows) == 3


def test_a_flow_that_only_others_call_has_no_tests_of_its_own(tmp_path: Path) -> None:
    caller = "subscribe: in\nsteps: [{call: judge}]\n"
    found = loaded(tmp_path, judge="steps: [json]\n", caller=caller, judge_test=f"flow: judge\n{CASE}")
    assert [diagnostic.message for diagnostic in found.diagnostics] == ["a flow without a source has no tests"]


def test_a_file_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.test.yaml").write_bytes(b"flow: \xff\n")
    assert [diagnostic.code for diagnostic in load([tmp_path]).diagnostics] == ["not-utf8"]


ASKING = "subscribe: in\nsteps:\n  - {http: 'https://example.com/a', id: ask}\n  - {write: a.jsonl}\n"
(ASKED,), _ = read_flows(
    Source("heat.yaml", ASKING), name="heat", folder=Path(), settings=Settings(), steps=all_steps()
)
KEYS = [
    "name", "given", "expect", "vars", "env", "mocks", "topic", "payload", "payload_hex", "qos", "retain", "properties",
    "after", "ask", "write", "error", "status", "headers", "payloads", "user",
]  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-1, 300) | st.sampled_from(["in", "5s", "a/+", "", "00", "x", 0.5])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
messages = st.dictionaries(st.sampled_from(KEYS[6:13]), values, max_size=3) | st.lists(values, max_size=2)
cases = st.fixed_dictionaries(
    {"given": messages, "expect": messages},
    optional={"mocks": st.dictionaries(st.sampled_from(["ask", "write", "http"]), values, max_size=2), "vars": values},
)


@settings(deadline=None)
@given(st.lists(cases | values, max_size=3) | values)
def test_whatever_stands_there_is_read_or_explained(tests: Any) -> None:
    text = json.dumps({"flow": "heat", "tests": tests}, indent=1)
    reader = TestFiles({"heat": ASKED}, lambda _: None)
    found = reader.read(Source("heat.test.yaml", text), Path("heat.test.yaml"))
    assert (found is None) == bool(reader.report.diagnostics)
    for diagnostic in reader.report.diagnostics:
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
