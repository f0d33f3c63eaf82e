"""A stretch of a recording becomes a test that passes."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.errors import FlowrunnerError
from flowrunner.message import Message
from flowrunner.read.cases import Given
from flowrunner.read.flow import Flow, read_flows
from flowrunner.read.settings import Settings
from flowrunner.run.recording import Recorded
from flowrunner.steps import all_steps
from flowrunner.text import Source
from flowrunner.trial.beside import Beside
from flowrunner.trial.case import run_case
from flowrunner.trial.recorded import BadRecording, add_case, make_case
from flowrunner.trial.yaml_text import value_text

STEPS = all_steps()


def flows_in(text: str) -> list[Flow]:
    flows, found = read_flows(Source("flow.yaml", text), name="flow", folder=Path(), settings=Settings(), steps=STEPS)
    assert not found, found
    return flows


def recorded(*messages: tuple[float, Message]) -> list[Recorded]:
    return [Recorded(1_700_000_000.0 + time, message) for time, message in messages]


def made_of(text: str, *messages: tuple[float, Message], name: str = "as it was") -> str:
    """The file with a test of its first flow."""
    flow = flows_in(text)[0]
    made = make_case(compile_flow(flow), recorded(*messages), name)
    return add_case(flow, text, made.lines)


def passes(text: str) -> None:
    for flow in flows_in(text):
        for case in flow.tests:
            with Beside() as beside:
                assert run_case(compile_flow(flow), case, beside).is_passed


EVERYTHING = "subscribe: {topic: a/+, qos: 2}\nsteps:\n  - publish: {topic: out, qos: '${qos}', retain: '${retain}', properties: '${properties}'}\n"


payloads = st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | st.sampled_from(
    [b"1", b"1.0", b'{"a": 1}', b'{"a":1}', b"true", b" true", b"null", b'"x"', b"[1,2]", b"- a", b"a: b", b"# a", b"~", b"0x10", b"1e3", b"{", b"'", b'"', b"a\nb", b"on", b"12:30"]
)  # fmt: skip
properties = st.fixed_dictionaries(
    {}, optional={"content_type": st.just("text/plain"), "user": st.dictionaries(st.text("ab:'\"{ ", max_size=3), st.text("ab:# ", max_size=3), min_size=1, max_size=2)}
)  # fmt: skip


@settings(deadline=None)
@given(payload=payloads, qos=st.integers(0, 2), retain=st.booleans(), properties=properties)
def test_what_is_given_is_what_came_byte_for_byte(
    payload: bytes, qos: int, retain: bool, properties: dict[str, object]
) -> None:
    message = Message("a/b", payload, qos, retain, properties)
    text = made_of(EVERYTHING.replace(", properties: '${properties}'", ""), (0, message))
    (case,) = flows_in(text)[0].tests
    (found,) = case.given
    assert isinstance(found, Given)
    assert (found.topic, found.payload, found.qos, found.retain) == ("a/b", payload, qos, retain)
    assert found.properties == properties
    passes(text)


@given(
    st.text(max_size=12) | st.sampled_from(["true", "null", "1", "a: b", "[x]", "x #y", "'", '"', "\\", "a\tb", "é"])
)
def test_any_text_can_be_written(text: str) -> None:
    flow = flows_in(f"subscribe: a\nsteps: []\ntests:\n  - {{name: {value_text(text)}, given: [], expect: []}}\n")[0]
    assert flow.tests[0].name == text


def test_time_between_messages_and_behind_them_is_kept() -> None:
    flow = "subscribe: in/+n\nsteps:\n  - debounce: 5s\n  - publish: out/${n}\n"
    text = made_of(
        flow,
        (0, Message("in/a", b"")),
        (1.2504, Message("in/b", b"")),
        (7.0, Message("other", b"")),
        (8, Message("in/c", b"")),
    )
    assert text == flow + (
        "tests:\n"
        "  - name: as it was\n"
        "    given:\n"
        "      - {topic: in/a}\n"
        "      - {after: 1250ms}\n"
        "      - {topic: in/b}\n"
        "      - {after: 6750ms}\n"
        "      - {topic: in/c}\n"
        "      - {after: 5s}\n"
        "    expect:\n"
        "      - {topic: out/b, payload: null}\n"
        "      - {topic: out/c, payload: null}\n"
    )
    passes(text)


def test_a_flow_that_publishes_nothing_and_one_that_fails() -> None:
    flow = "subscribe: in\nsteps: [json, {filter: payload > 1}]\n"
    text = made_of(flow, (0, Message("in", b"1")), (1, Message("in", b"{")))
    assert text.endswith("    expect: []\n")
    passes(text)


def test_a_stretch_without_a_message_for_the_flow() -> None:
    with pytest.raises(BadRecording, match="no message of this stretch is for the flow `flow`"):
        made_of("subscribe: in\nsteps: []\n", (0, Message("out", b"")))


TESTED = "tests:\n  - name: one\n    given: []\n    expect: []   # as it is\n"


@pytest.mark.parametrize(
    "text",
    [
        "subscribe: in\nsteps: [json]\n",
        "subscribe: in\nsteps: [json]",
        f"subscribe: in\n{TESTED}\nsteps: [json]\n",
        f"subscribe: in\nsteps: [json]\n{TESTED}",
        f"subscribe: in\nsteps: [json]\n{TESTED}\n# the end\n",
        "subscribe: in\nsteps: [json]\ntests: []\n",
        "subscribe: in\nsteps: [json]\ntests: []   # none\n",
        "subscribe: in\nsteps: [json]\ntests:\n- given: []\n  expect: []\n",
        "flows:\n  one:\n    subscribe: in\n    steps: [json]\n  other:\n    subscribe: in\n    steps: [json]\n",
        f"flows:\n  one:\n    subscribe: in\n    steps: [json]\n    {TESTED.replace(chr(10), chr(10) + '    ')}\n\n  two:\n    at_start: 1\n    steps: []\n",
        "subscribe: in\r\nsteps: [json]\r\n",
    ],
)  # fmt: skip
def test_the_rest_of_the_file_stays_as_it_is(text: str) -> None:
    before = flows_in(text)
    after = made_of(text, (0, Message("in", b"1")))
    assert [len(flow.tests) for flow in flows_in(after)] == [
        len(before[0].tests) + 1,
        *(len(f.tests) for f in before[1:]),
    ]
    lines = after.splitlines()
    assert [line for line in text.splitlines() if line not in lines and not line.startswith("tests: []")] == []
    assert ("\r\n" in after) == ("\r\n" in text)
    assert after.count("\n") == after.replace("\r\n", "\n").count("\n")
    passes(after)


def test_tests_in_brackets_are_left_alone() -> None:
    text = "subscribe: in\nsteps: [json]\ntests: [{given: [], expect: []}]\n"
    with pytest.raises(FlowrunnerError, match="are not a list with dashes"):
        made_of(text, (0, Message("in", b"1")))
